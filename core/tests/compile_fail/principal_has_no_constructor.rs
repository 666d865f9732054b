//! A principal comes from an authority, and from nowhere else.

use genie_core::principal::Principal;

fn main() {
    let _ = Principal::default();
    let _ = Principal::new();
}
