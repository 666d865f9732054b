//! The `genie` binary: hands the agents to the command line, exactly as an embedder would.

use std::process::ExitCode;

/// Small allocations by the million are what a bus does. This is mimalloc, seen by profiles.
#[cfg(all(feature = "pprof", target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: genie_profile::Allocator = genie_profile::Allocator;

/// Small allocations by the million are what a bus does.
#[cfg(not(all(feature = "pprof", target_os = "linux", target_arch = "x86_64")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    genie::cli::main(genie_agents::ALL)
}
