//! A decision on a server: the key says who decides, and the server goes on with the run.

use std::process::ExitCode;

use genie_client::Decision;
use genie_core::approval::Approval;

use super::decide::{Said, present};
use crate::cli::follow::Halt;
use crate::cli::remote::{self, Server};
use crate::cli::run::watch::Screen;
use crate::config::Config;

pub(super) async fn decide(
    config: &Config,
    server: &Server,
    id: &str,
    said: Said,
) -> anyhow::Result<ExitCode> {
    if said.name.is_some() {
        return Err(remote::unfit("--as", "the key says who decides").into());
    }
    let approval = server.find_approval(id).await?;
    let mut screen = said.screen();
    let seen = recalled(server, &approval, &mut screen).await?;
    let decision = Decision {
        choice: said.choice.clone(),
        reason: said.reason.clone(),
        digest: Some(approval.digest),
    };
    let decided = server.client.decide(approval.id, &decision).await.map_err(remote::complaint)?;
    let Some(seen) = seen.filter(|_| decided.status.is_final()) else {
        return present((config, &said), &decided, None, &[]);
    };
    let mut events = server.client.events_to_halt(decided.run_id, seen);
    let (halt, next) = match server.follow(&mut events, &mut screen).await? {
        remote::Halt::Ended(outcome, end) => (Halt::Ended(outcome, end), Vec::new()),
        remote::Halt::Waiting(waiting) => {
            let next = server.all_of(&waiting.approvals).await?;
            (Halt::Waiting(waiting), next)
        }
    };
    present((config, &said), &decided, Some(halt), &next)
}

/// Shows the screen what happened before the decision; gives the last event. `None` if the key is
/// not to see the run: whoever decides need not.
async fn recalled(
    server: &Server,
    approval: &Approval,
    screen: &mut Screen,
) -> anyhow::Result<Option<Option<u64>>> {
    match server.client.run(approval.run_id).await {
        Ok(_) => {}
        Err(error) if matches!(error.code(), Some("forbidden" | "not_found")) => return Ok(None),
        Err(error) => return Err(remote::complaint(error).into()),
    }
    let (entries, last) = server.told_so_far(approval.run_id).await?;
    screen.recall(&entries);
    Ok(Some(last))
}
