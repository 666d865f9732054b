//! A run that one process began is ended by another, and whoever waits in the first is told.

use std::time::Duration;

use genie_core::Ask;
use genie_core::approval::{Choice, Filter};

use crate::agents::Order;
use crate::database;
use crate::worker::{start, who};

/// A human must see every order.
const RULE: &str = "[[rule]]\nid = \"orders\"\ndescription = \"A human sees every order.\"\n\
                    kinds = [\"order.placed\"]\nwhen = \"true\"\n\
                    decision = \"require_approval\"\nreason = \"an order\"\n";

#[test]
#[ignore = "needs PostgreSQL at GENIE_TEST_POSTGRES_URL, which scripts/test provides"]
fn whoever_waits_for_a_run_that_another_process_ends_is_told() {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
    let url = std::env::var("GENIE_TEST_POSTGRES_URL").unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = database::fresh(&url).await;
        let directory = tempfile::tempdir().unwrap();
        let here = start(directory.path(), Some(&database), RULE).await;
        let there = start(directory.path(), Some(&database), RULE).await;
        let ask = Ask::new("clerk", &Order { number: 1 });
        let asked = here.kernel().ask(&here.admit(who("asha", "user")), ask).await.unwrap();
        let filter = Filter { status: Some("pending".into()), limit: 1, ..Filter::default() };
        let acme = there.system().tenant("acme");
        let approval = loop {
            let found = there.kernel().approvals(&acme, &filter).await.unwrap();
            let parked = there.kernel().run(&acme, asked.run_id).await.unwrap();
            match (found.into_iter().next(), parked) {
                (Some(approval), Some(run)) if &*run.status == "waiting" => break approval,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        // Whoever follows it there sees how far it is, and nobody of another tenant.
        let (run, globex) = (asked.run_id, there.system().tenant("globex"));
        let grown = there.kernel().grown_elsewhere(&[(globex.clone(), run), (acme, run)]).await;
        assert!(matches!(grown.unwrap()[..], [(of, records)] if of == run && records > 0));
        assert_eq!(there.kernel().grown_elsewhere(&[(globex, run)]).await.unwrap(), []);
        let (checker, said) = (there.admit(who("carol", "approver")), (Choice::Approve, "seen"));
        let decided = there.kernel().decide(&checker, approval.id, Some(approval.digest), said);
        decided.await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), asked.outcome()).await;
        assert_eq!(told.map(|outcome| outcome.name()), Ok("completed"));
        here.drain().await;
        there.drain().await;
        database::remove(&url, &database).await;
    });
}
