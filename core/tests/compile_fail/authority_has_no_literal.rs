//! An authority cannot be written down.

use genie_core::principal::Authority;

fn main() {
    let _ = Authority { realm: 1 };
}
