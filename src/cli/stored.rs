//! How the commands get at what is kept: to look at it, or to run agents over it.

use genie_core::approval::{Approval, Filter};
use genie_core::ids::RunId;
use genie_core::runs::{Query, Summary};
use genie_core::{Agent, Tenant};
use genie_store::{Mode, OpenError, Opened, Options};
use uuid::Uuid;

use super::complaint::Complaint;
use super::named;
use super::person::TENANT;
use crate::app::{self, App, Bank, Running};
use crate::config::Config;

/// How many runs or approvals are read at a time.
const PAGE: usize = 500;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpen {
    /// Nothing was ever kept there.
    #[error("nothing is kept there yet")]
    Missing(#[source] Complaint),
    /// Its tables are older than this program, which changes that when it runs agents.
    #[error("its tables are older than this program")]
    Older(#[source] Complaint),
    /// It cannot be used.
    #[error(transparent)]
    Other(Complaint),
}

impl NotOpen {
    /// What the user is told.
    pub(crate) fn complaint(self) -> Complaint {
        match self {
            Self::Missing(complaint) | Self::Older(complaint) | Self::Other(complaint) => complaint,
        }
    }
}

/// Opens the database to look at it, whoever runs agents over it.
///
/// # Errors
/// Nothing is kept, or it cannot be read.
pub(crate) async fn try_look(config: &Config) -> Result<Opened, NotOpen> {
    let Some(place) = config.storage.location() else {
        let problem = "nothing outlives a process that keeps its runs in memory";
        let hint = "leave `--memory` out, or give `--data DIR`";
        return Err(NotOpen::Other(Complaint::usage(problem).hint(hint)));
    };
    let options = Options { sealing: config.sealing(), ..Options::default() };
    genie_store::open(&place, Mode::Look, options).await.map_err(|error| {
        let complaint = unusable(&error);
        match error {
            OpenError::Missing(_) => NotOpen::Missing(complaint),
            OpenError::Older(_) => NotOpen::Older(complaint),
            _ => NotOpen::Other(complaint),
        }
    })
}

/// As [`try_look`], where there must be something.
pub(crate) async fn look(config: &Config) -> Result<Opened, Complaint> {
    try_look(config).await.map_err(NotOpen::complaint)
}

/// Runs the agents; `None` if another process owns the runs.
///
/// # Errors
/// The database or the policies cannot be used.
pub(crate) async fn own(
    config: Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Option<Running>> {
    match installation(config, agents, Bank::Answers).start().await {
        Err(app::Error::Store(OpenError::Owned { .. })) => Ok(None),
        started => started.map(Some).map_err(refused),
    }
}

/// The agents, and those of the demos so that a run of theirs can go on wherever it began.
pub(crate) fn installation(
    config: Config,
    agents: &'static [&'static dyn Agent],
    bank: Bank,
) -> App {
    App::build(config).agents(agents).demo(bank)
}

/// Why an installation does not start, with what to do.
pub(crate) fn refused(error: app::Error) -> anyhow::Error {
    match error {
        app::Error::Store(error) => unusable(&error).into(),
        error => error.into(),
    }
}

/// Why a database cannot be opened, with what to do.
fn unusable(error: &OpenError) -> Complaint {
    Complaint::usage(error.to_string()).with_hint_of()
}

/// The tenant of everything that the command line does.
pub(crate) fn tenant(store: &Opened) -> Tenant {
    Tenant::of_operator(&*store.runs, TENANT)
}

/// Closes what was only looked at: there is nothing to lose.
pub(crate) async fn close(store: Opened) {
    if let Err(error) = store.close().await {
        tracing::warn!(%error, "the database was not closed properly");
    }
}

/// Every run of the command line, newest first.
pub(crate) async fn all_runs(store: &Opened, status: Option<&str>) -> anyhow::Result<Vec<Summary>> {
    let mut runs: Vec<Summary> = Vec::new();
    loop {
        let before = runs.last().map(|run| run.run_id);
        let query = Query { status: status.map(str::to_owned), before, limit: PAGE, subject: None };
        let page = store.runs.list(&tenant(store), &query).await?;
        let last = page.len() < PAGE;
        runs.extend(page);
        if last {
            return Ok(runs);
        }
    }
}

/// Every approval of the command line, oldest first.
pub(crate) async fn all_approvals(
    store: &Opened,
    run_id: Option<RunId>,
) -> anyhow::Result<Vec<Approval>> {
    let mut approvals: Vec<Approval> = Vec::new();
    loop {
        let after = approvals.last().map(|approval| approval.id);
        let filter = Filter { run_id, status: None, after, limit: PAGE };
        let page = store.approvals.list(&tenant(store), &filter).await?;
        let last = page.len() < PAGE;
        approvals.extend(page);
        if last {
            return Ok(approvals);
        }
    }
}

/// The run that a user has named by its id or by the beginning of it.
pub(crate) async fn find_run(store: &Opened, name: &str) -> anyhow::Result<Summary> {
    let found = if let Ok(id) = Uuid::try_parse(name) {
        store.runs.get(&tenant(store), RunId(id)).await?.into_iter().collect()
    } else {
        named::check(name, named::RUNS)?;
        all_runs(store, None).await?
    };
    named::run(name, found)
}

/// The approval that a user has named by its id or by the beginning of it.
pub(crate) async fn find_approval(store: &Opened, name: &str) -> anyhow::Result<Approval> {
    named::approval(name, all_approvals(store, None).await?)
}

/// Runs a command to its end.
///
/// # Errors
/// Its own, and a system that gives no threads.
pub(crate) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Runtime::new();
    anyhow::Context::context(runtime, "cannot start the threads of the command")?.block_on(command)
}
