//! Whoever has the kernel alone asks for the things of a tenant, or for nothing.

use genie_core::Kernel;
use genie_core::ids::RunId;
use genie_core::runs::Query;

async fn look(kernel: &Kernel, run: RunId) {
    let _ = kernel.records(run).await;
    let _ = kernel.run(run).await;
    let _ = kernel.runs(&Query::default()).await;
    let _ = kernel.grown_elsewhere(&[run]).await;
    let _ = kernel.journal();
    let _ = kernel.tap();
}

fn main() {}
