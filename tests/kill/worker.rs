//! The process that is killed: takes up what is there, asks for more, resolves what is in doubt.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genie::App;
use genie::app::Running;
use genie::config::{Config, SealingKey};
use genie::storage::Storage;
use genie_core::Ask;
use genie_core::approval::{Choice, DecideError, Filter, Refusal, Resolution};
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use genie_core::runs::Query;
use genie_core::tool::Effects;
use serde_json::Value;

use crate::agents::{Book, Clerk, Helper, Order, append};

/// How many runs are asked for at once.
const IN_FLIGHT: u64 = 16;

/// What a worker is to do.
#[derive(Clone, Copy)]
pub(crate) enum Mission {
    /// Ask for this many runs, and end.
    Some(u64),
    /// Ask until killed.
    Forever,
    /// Only end what is there.
    Finish,
}

pub(crate) fn who(subject: &str, role: &str) -> Identity {
    Identity {
        tenant: "acme".into(),
        subject: subject.into(),
        roles: [role.to_owned()].into(),
        ..Identity::default()
    }
}

/// Starts an installation under the built-in checks and one rule.
pub(crate) async fn start(directory: &Path, database: Option<&str>, rule: &str) -> Running {
    let rules = directory.join("rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("one.toml"), rule).unwrap();
    let data = || Storage::Directory(directory.join("data"));
    let config = Config {
        policies: Some(rules),
        storage: database.map_or_else(data, Storage::parse),
        lease: Duration::from_millis(900),
        sealing_key: SealingKey::File(directory.join("sealing.key")),
        ..Config::default()
    };
    let book = |name: &'static str, effects: Effects| Book {
        name,
        effects,
        file: directory.join(format!("{name}.book")),
    };
    App::build(config)
        .agents(&[&Clerk, &Helper])
        .tool(book("book.note", Effects::Idempotent))
        .tool(book("book.pay", Effects::Once))
        .start()
        .await
        .unwrap()
}

pub(crate) async fn work(directory: &Path, database: Option<&str>, mission: Mission) {
    // No rule asks for approval here: what is in doubt after a kill is what counts.
    let rule = "[[rule]]\nid = \"none\"\ndescription = \"Judges nothing.\"\nkinds = [\"none\"]\n\
                when = \"true\"\ndecision = \"deny\"\nreason = \"it never comes\"\n";
    let running = start(directory, database, rule).await;
    let paid = directory.join("book.pay.book");
    tokio::select! {
        () = resolve(&running, &paid) => {}
        () = ask(&running, directory, mission) => {}
    }
    running.drain().await;
}

async fn ask(running: &Running, directory: &Path, mission: Mission) {
    let number = AtomicU64::new(0);
    let most = match mission {
        Mission::Some(most) => most,
        Mission::Forever => u64::MAX,
        Mission::Finish => 0,
    };
    let one = || async {
        let principal = running.admit(who("asha", "user"));
        loop {
            let number = number.fetch_add(1, Ordering::Relaxed);
            if number >= most {
                return;
            }
            let ask = Ask::new("clerk", &Order { number });
            let Ok(asked) = running.kernel().ask(&principal, ask).await else { continue };
            let run = asked.run_id;
            let outcome = asked.outcome().await;
            let said = match &*outcome {
                Outcome::Completed { answer_sha256, .. } => answer_sha256.to_string(),
                other => format!("{other:?}").replace(' ', ""),
            };
            append(&directory.join("acknowledged"), &format!("{run} {} {said}", outcome.name()));
        }
    };
    futures::future::join_all((0..IN_FLIGHT).map(|_| one())).await;
    running.kernel().caught_up().await;
    let unfinished = || async {
        let mut left = 0;
        for status in ["running", "waiting"] {
            let query = Query { status: Some(status.into()), limit: 10, ..Query::default() };
            // While the database is away, nobody knows.
            let found = running.kernel().runs(&running.system().tenant("acme"), &query).await;
            left += found.map_or(1, |found| found.len());
        }
        left
    };
    while unfinished().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks into the book for every payment that is in doubt, as a human would.
async fn resolve(running: &Running, book: &Path) {
    let checker = running.admit(who("carol", "approver"));
    let filter = Filter { status: Some("pending".into()), limit: 100, ..Filter::default() };
    loop {
        // While the database is away, nothing is in doubt.
        let doubts = running.kernel().approvals(checker.tenant(), &filter).await;
        for doubt in doubts.unwrap_or_default() {
            let noted = std::fs::read_to_string(book).unwrap_or_default();
            let key = doubt.message_id.to_string();
            let happened = noted.lines().any(|line| line.starts_with(&key));
            let resolution = if happened { Resolution::Happened } else { Resolution::Retry };
            let choice = Choice::Resolve { resolution, result: Value::Null };
            let said = (choice, "it is in the book or not");
            let decided = running.kernel().decide(&checker, doubt.id, Some(doubt.digest), said);
            // Another worker may have been quicker, or the database is away.
            assert!(matches!(
                decided.await,
                Ok(_) | Err(DecideError::Refused(Refusal::Decided { .. }) | DecideError::Store(_))
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
