//! A principal comes from an authority, and cannot be written down, not even from another one.

use genie_core::principal::Principal;

fn written(principal: Principal) -> Principal {
    Principal { realm: 1, ..principal }
}

fn main() {}
