//! Profiles of this very process, in the format of [pprof](https://github.com/google/pprof).
//!
//! [`cpu`] samples what the threads execute, [`heap`] what they allocate through [`Allocator`] and
//! what of it stays. Nothing is sampled but while one of them runs, and one runs at a time.
//!
//! Neither a signal handler nor an allocator may allocate, wait or trust what it finds on a stack.
//! So a sample is taken like this: the registers of the thread, then frame by frame the unwind
//! tables of the program's file, a copy of which is made before sampling begins, and words of the
//! stack that the kernel reads for us and that it may refuse; the addresses go into a ring of fixed
//! size. Names are looked up when sampling is over.
//!
//! It works on Linux on x86-64; elsewhere this crate is empty.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod cpu;
mod encode;
mod heap;
mod image;
mod live;
mod maps;
mod memory;
mod raw;
mod ring;
mod stacks;
mod symbols;
mod taking;
mod unwind;

pub use cpu::cpu;
pub use heap::heap;
pub use raw::Allocator;
pub use taking::{NotTaken, Wanted};

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;
