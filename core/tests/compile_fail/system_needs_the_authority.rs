//! What goes across tenants is for whoever holds the authority.

use genie_core::Kernel;

fn look(kernel: &Kernel) {
    let _ = kernel.system();
}

fn main() {}
