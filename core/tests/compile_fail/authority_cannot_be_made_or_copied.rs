//! A kernel makes one authority, and the composition root has it.

use genie_core::principal::Authority;

fn copy(authority: &Authority) -> Authority {
    authority.clone()
}

fn main() {
    let _ = Authority::new(1);
}
