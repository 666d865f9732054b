//! The `genie` binary: hands the agents to the command line, exactly as an embedder would.

use std::process::ExitCode;

/// Small allocations by the million are what a bus does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    genie::cli::main(genie_agents::ALL)
}
