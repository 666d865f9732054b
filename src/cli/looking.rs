//! Commands that look at the database of the settings and run nothing.

use genie_core::ids::RunId;
use genie_store::{Location, Opened};
use uuid::Uuid;

use super::complaint::Complaint;
use super::stored;
use crate::config::Config;

/// The database of the settings.
pub(crate) fn location(config: &Config) -> anyhow::Result<Location> {
    config.storage.location().ok_or_else(|| {
        let hint = "name the database with `--data DIR` or `--database URL`";
        Complaint::usage("a memory that nothing outlives has no database").hint(hint).into()
    })
}

/// Opens the database, does the work and closes it.
pub(crate) fn look<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Opened) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    stored::block_on(async {
        let opened = stored::look(config).await?;
        let done = work(&opened).await;
        stored::close(opened).await;
        done
    })
}

/// The run of any tenant that has this id, or the operator's one whose id begins so.
pub(crate) async fn run(opened: &Opened, named: &str) -> anyhow::Result<RunId> {
    match Uuid::try_parse(named) {
        Ok(id) => Ok(RunId(id)),
        Err(_) => Ok(stored::find_run(opened, named).await?.run_id),
    }
}
