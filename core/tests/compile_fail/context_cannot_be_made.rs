//! A context comes with a message that is being handled.

use genie_core::Context;

fn main() {
    let _ = Context::new;
}
