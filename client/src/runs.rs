//! Runs: listed, shown, followed, cancelled, proven.

use genie_core::ids::RunId;
use genie_core::runs::Summary;
use serde::Deserialize;
use serde_json::Value;

use crate::ask::Receipt;
use crate::client::{Client, Request, text};
use crate::error::Error;
use crate::events::{Events, Until};
use crate::page::Page;

/// Which runs to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// Only those that stand so.
    pub status: Option<String>,
    /// Those behind this page, as it said in `next`.
    pub after: Option<String>,
    /// At most so many; 1 to 500.
    pub limit: Option<usize>,
}

/// A run, as far as a token may see it.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// How it stands.
    #[serde(flatten)]
    pub summary: Summary,
    /// How much it took so far.
    pub usage: RunUsage,
    /// What to keep of it; `None` until it has ended.
    pub receipt: Option<Receipt>,
    /// Its messages with their verdicts, as they came.
    pub messages: Vec<Value>,
    /// What it answered.
    #[serde(default)]
    pub answer: Value,
    /// Why it did not.
    #[serde(default)]
    pub problem: Value,
}

/// How much a run took so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RunUsage {
    /// How many records it has.
    pub records: u64,
    /// How many messages were sent; `None` until it has ended.
    pub messages: Option<u64>,
    /// How long it took, in microseconds; `None` until it has ended.
    pub duration_us: Option<u64>,
}

impl Client {
    /// Some of the runs.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn runs(&self, wanted: &Runs) -> Result<Page<Summary>, Error> {
        let Runs { status, after, limit } = wanted;
        let request = Request::get(&["v1", "runs"]);
        let request = request.with("status", status.as_deref()).with("after", after.as_deref());
        self.json(request.with("limit", *limit)).await
    }

    /// A run.
    ///
    /// # Errors
    /// [`Error::Problem`] with `not_found` if there is none, or it is not one's own.
    pub async fn run(&self, run: RunId) -> Result<Run, Error> {
        let id = run.to_string();
        self.json(Request::get(&["v1", "runs", &id])).await
    }

    /// The events of a run that are on record now, behind the event with the id `last`.
    #[must_use]
    pub fn events_so_far(&self, run: RunId, last: Option<u64>) -> Events {
        Events::new(self.clone(), run, (last, Until::Now))
    }

    /// The events of a run until it ends, behind the event with the id `last`.
    #[must_use]
    pub fn events(&self, run: RunId, last: Option<u64>) -> Events {
        Events::new(self.clone(), run, (last, Until::End))
    }

    /// The events of a run until it ends or waits for a human, behind the event with the id `last`.
    #[must_use]
    pub fn events_to_halt(&self, run: RunId, last: Option<u64>) -> Events {
        Events::new(self.clone(), run, (last, Until::Halt))
    }

    /// Cancels a run with everything that it has caused; its events tell when it has ended.
    ///
    /// # Errors
    /// [`Error::Problem`] with `run_ended` if there is nothing to cancel.
    pub async fn cancel(&self, run: RunId) -> Result<(), Error> {
        let id = run.to_string();
        let path = ["v1", "runs", &id, "cancel"];
        self.send(Request::post(&path, None).keyed(&*self.ids)).await.map(drop)
    }

    /// The proof of how a run ended, as the page that `genie audit check-receipt` reads.
    ///
    /// # Errors
    /// [`Error::Problem`], such as `run_open` or `unsigned`.
    pub async fn receipt(&self, run: RunId) -> Result<String, Error> {
        let id = run.to_string();
        let path = ["v1", "runs", &id, "receipt"];
        text(self.send(Request::get(&path).accepting("text/plain")).await?).await
    }
}
