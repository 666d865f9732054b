//! A principal comes from an authority, and cannot be written down.

use std::sync::Arc;

use genie_core::principal::{Identity, Principal};

fn written(identity: Identity) -> Principal {
    Principal { identity: Arc::new(identity), realm: 1 }
}

fn main() {}
