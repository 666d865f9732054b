//! A handler cannot be reached with a message that no policy has seen.

use genie_core::message::Message;
use genie_core::{Agent, Context};

async fn reach(agent: &dyn Agent, message: Message, cx: &mut Context) {
    let _ = agent.handle(message, cx).await;
}

fn main() {}
