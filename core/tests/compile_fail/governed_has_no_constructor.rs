//! A governed message cannot be made outside the bus.

use std::sync::Arc;

use genie_core::Governed;
use genie_core::message::Message;
use genie_core::policy::Verdict;

fn made(message: Arc<Message>, verdict: Arc<Verdict>) -> Governed {
    Governed::new(message, verdict)
}

fn main() {}
