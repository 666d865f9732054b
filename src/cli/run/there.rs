//! `genie ask` on a server: the same question, the same tree, report and exit codes.

use std::sync::Arc;

use genie_agents::finance::domain::statement;
use genie_client::Question;
use genie_core::ids::RunId;

use super::statement::Statement;
use super::watch::Screen;
use super::{Args, Ending, Finished, form_of};
use crate::cli::complaint::Complaint;
use crate::cli::remote::{self, Halt, Server};

/// Refuses what only an installation here can do.
pub(super) fn check(args: &Args) -> Result<(), Complaint> {
    if args.demo.is_some() {
        return Err(remote::unfit("--demo", "a demo makes its own payment; run it here"));
    }
    if args.journal.is_some() {
        let hint = "`genie audit receipt RUN` proves how the run ended";
        return Err(remote::unfit("--journal", hint));
    }
    if args.timeout.is_some() {
        let hint = "`limits.run_deadline` of the server bounds it; `genie runs cancel` ends it";
        return Err(remote::unfit("--timeout", hint));
    }
    Ok(())
}

/// Asks and watches until the run halts.
pub(super) async fn conduct(
    args: &Args,
    server: &Server,
    given: &Statement,
) -> anyhow::Result<Finished> {
    let text = statement::text(&given.bytes)
        .map_err(|error| Complaint::usage(format!("{}: {error}", given.name)).with_hint_of())?;
    let question = Question::new(&args.question, &text);
    let asked = server.client.ask_events(&question).await;
    let mut events = asked.map_err(remote::complaint)?;
    let run_id = events.run();
    let mut screen = Screen::new(form_of(args));
    let halt = tokio::select! {
        // First, so that the key works from the moment that anything is shown.
        biased;
        () = interrupted() => None,
        halt = server.follow(&mut events, &mut screen) => Some(halt?),
    };
    let halt = match halt {
        Some(halt) => halt,
        None => cancelled(server, run_id, events.last(), &mut screen).await?,
    };
    let ending = match halt {
        Halt::Ended(outcome, end) => Ending::Ended(Arc::new(outcome), end),
        Halt::Waiting(waiting) => {
            let approvals = server.all_of(&waiting.approvals).await?;
            Ending::Waiting { wake_at: waiting.wake_at, approvals }
        }
    };
    Ok(Finished { run_id, ending })
}

/// Ready once the user presses Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Cancels the run and follows it to its end.
async fn cancelled(
    server: &Server,
    run: RunId,
    last: Option<u64>,
    screen: &mut Screen,
) -> anyhow::Result<Halt> {
    server.client.cancel(run).await.map_err(remote::complaint)?;
    server.follow(&mut server.client.events(run, last), screen).await
}
