//! The kernel through its front door: agents that a user would write, on paused time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod crash;
mod denial;
mod desk;
mod fan;
mod flow;

pub(crate) use desk::*;
