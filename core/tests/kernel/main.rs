//! The kernel through its front door: agents that a user would write, on paused time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod addressing;
mod approval;
mod budget;
mod cancel;
mod crash;
mod decisions;
mod denial;
mod desk;
mod disk;
mod fan;
mod faults;
mod flow;
mod journal;
mod label;
mod life;
mod limit;
mod load;
mod parking;
mod recovery;
mod simulation;
mod tenant;
mod tool;

pub(crate) use desk::*;
