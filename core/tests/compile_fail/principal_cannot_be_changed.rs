//! A principal cannot be changed by whoever holds it.

use genie_core::principal::Principal;

fn promote(principal: &mut Principal) {
    principal.identity().roles.insert("admin".into());
}

fn main() {}
