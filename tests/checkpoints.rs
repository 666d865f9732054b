//! A process at work signs its log on schedule.

use std::time::Duration;

use genie::App;
use genie::config::Config;
use genie::storage::Storage;
use genie_agents::finance::domain::generate::SAMPLE_TEN_ROWS;
use genie_agents::finance::{CONSENT, SCOPE};
use genie_core::label::{Classification, Label};
use genie_core::principal::Identity;
use genie_store::{Mode, Opened, Options, open};

use crate::program::{Files, genie_in};

/// Waits until the first `size` records are signed; gives the sizes that were.
async fn signed(store: &Opened, size: u64) -> Vec<u64> {
    for _ in 0..2_000 {
        let checkpoints = store.checkpoints.checkpoints(1, 1_000).await.unwrap();
        let sizes: Vec<u64> = checkpoints.iter().map(|checkpoint| checkpoint.size).collect();
        if sizes.first().is_some_and(|covered| *covered >= size) {
            return sizes;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unreachable!("{size} records are not signed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_signed_on_schedule_as_long_as_it_grows() {
    let files = Files::new();
    let data = files.path("data");
    let config = Config {
        storage: Storage::Directory(data.clone()),
        checkpoint_every: Duration::from_millis(10),
        ..Config::default()
    };
    let location = config.storage.location().unwrap();
    let running = App::build(config).agents(genie_agents::ALL).start().await.unwrap();
    let principal = running.admit(Identity {
        tenant: "acme".into(),
        subject: "asha".into(),
        scopes: [SCOPE.to_owned()].into(),
        consents: [CONSENT.to_owned()].into(),
        ..Identity::default()
    });
    let store = open(&location, Mode::Look, Options::default()).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let label = Label::new(Classification::Confidential).with_region("in");
        let ask = genie_agents::finance::ask("Where did I overspend?", SAMPLE_TEN_ROWS.into());
        let run = running.kernel().ask(&principal, ask.labelled(label)).await.unwrap();
        assert_eq!(run.outcome().await.name(), "completed");
        // Nobody asks for it, and nothing ends.
        let covered = signed(&store, running.kernel().head().seq).await;
        assert_eq!(covered[0], running.kernel().head().seq);
        assert!(covered.ends_with(&sizes) && covered.len() > sizes.len(), "{covered:?}");
        sizes = covered;
    }
    // What has not grown is not signed again, at the end as little as on schedule.
    running.drain().await;
    assert_eq!(signed(&store, sizes[0]).await, sizes);
    store.close().await.unwrap();
    let report = genie_in(&data, &["audit", "verify", "--json"]).json();
    assert_eq!(report["verified"], true, "{report:#}");
    assert_eq!(report["chains"][0]["checkpoints"], sizes.len(), "{report:#}");
}
