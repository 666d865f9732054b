//! The kernel through its front door: agents that a user would write, on paused time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod addressing;
mod approval;
mod cancel;
mod crash;
mod denial;
mod desk;
mod disk;
mod fan;
mod flow;
mod journal;
mod label;
mod life;
mod limit;
mod load;
mod recovery;
mod simulation;

pub(crate) use desk::*;
