//! The kernel through its front door: agents that a user would write, on paused time.

mod desk;
mod flow;

pub(crate) use desk::*;
