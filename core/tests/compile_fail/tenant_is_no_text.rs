//! A name is not a tenant: a store is not asked with text.

use genie_core::runs::{Query, Runs};

async fn list(runs: &dyn Runs, named_by_a_request: &str) {
    let _ = runs.list(named_by_a_request, &Query::default()).await;
    let _ = runs.list(&named_by_a_request.to_owned(), &Query::default()).await;
}

fn main() {}
