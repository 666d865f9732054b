//! A message is stamped by the bus and never changes.

use genie_core::Governed;
use genie_core::message::Message;

fn change(mut message: Message) {
    message.hops = 0;
}

fn change_governed(mut message: Governed) {
    message.from = "supervisor".into();
}

fn main() {
    let _ = Message::default();
    let _ = Message::new();
}
