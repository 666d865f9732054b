//! A governed message cannot be written down outside the bus.

use std::sync::Arc;

use genie_core::Governed;
use genie_core::message::Message;
use genie_core::policy::Verdict;

fn written(message: Arc<Message>, verdict: Arc<Verdict>) -> Governed {
    Governed { message, verdict }
}

fn main() {}
