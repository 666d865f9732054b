//! A server in place of a database: what the commands that work on either need of it.
//!
//! What comes is shown by the same code as what is read from a database; only the ways to it
//! differ.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use genie_client::{Approvals, Client, Error, Events, Run, Runs, Token};
use genie_core::approval::{Approval, ApprovalId};
use genie_core::ids::RunId;
use genie_core::journal::Entry;
use genie_core::outcome::Outcome;
use genie_core::runs::Summary;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::complaint::Complaint;
use super::named;
use super::run::event::Told;
use super::run::watch::{End, Screen, Waiting};
use crate::config::Config;
use crate::host::SystemIds;

/// The variable that holds the key that is shown to the server.
pub(crate) const TOKEN: &str = "GENIE_TOKEN";
/// Longest file of a key.
const TOKEN_BYTES_MAX: u64 = 4_096;
/// How long the last record of a run may come behind its outcome.
const END_WAIT: Duration = Duration::from_secs(2);
/// How often to look for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What helps whoever gets an answer that Genie does not give.
const ELSEWHERE: &str = "check the address: what answers there may be no Genie, or another version";
/// Most items of a page.
const PAGE: usize = 500;

/// A server, reached with the key of the settings.
pub(crate) struct Server {
    pub(crate) client: Client,
}

/// The server of the settings; `None` if they name none.
///
/// # Errors
/// An address or key that cannot be used.
pub(crate) fn server(config: &Config) -> anyhow::Result<Option<Server>> {
    let Some(address) = &config.server else { return Ok(None) };
    let token = token(config.token_file.as_deref())?;
    let client = Client::new(address, &Token::new(&token), Arc::new(SystemIds));
    Ok(Some(Server { client: client.map_err(complaint)? }))
}

/// What a command says that works on a database only.
pub(crate) fn local_only() -> Complaint {
    let problem = "this command works on a database of its own, and a server is named";
    let hint = "give `--data DIR` or `--database URL`, or run it where the server is";
    Complaint::usage(problem).hint(hint)
}

/// What an option says that a server cannot do.
pub(crate) fn unfit(option: &str, hint: &str) -> Complaint {
    Complaint::usage(format!("a server does not take `{option}`")).hint(hint)
}

fn token(file: Option<&Path>) -> Result<Zeroizing<String>, Complaint> {
    let set = std::env::var_os(TOKEN).filter(|token| !token.is_empty());
    if let Some(token) = set {
        let token = token.into_string().map(Zeroizing::new);
        return token.map_err(|_| Complaint::usage(format!("`{TOKEN}` is no text")));
    }
    let Some(path) = file else {
        let hint = format!("put it into `{TOKEN}`, or its file into `token_file` of the settings");
        return Err(Complaint::usage("there is no key to show to the server").hint(hint));
    };
    let unread = |error: std::io::Error| {
        let problem = format!("`{}` cannot be read: {error}", path.display());
        Complaint::usage(problem).hint("`token_file` of the settings names it")
    };
    let file = std::fs::File::open(path).map_err(unread)?;
    if is_open_to_others(&file.metadata().map_err(unread)?) {
        let problem = format!("`{}` can be read by others", path.display());
        return Err(Complaint::usage(problem).hint("`chmod 600` makes it yours alone"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
    Ok(text)
}

#[cfg(unix)]
fn is_open_to_others(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// What the user is told when a server does not do it.
pub(crate) fn complaint(error: Error) -> Complaint {
    let text = error.to_string();
    match error {
        Error::Problem(problem) => {
            let says_no = matches!(problem.status, 401 | 403 | 409 | 410 | 429 | 502..=504);
            let complaint = if says_no { Complaint::no(text) } else { Complaint::usage(text) };
            match (problem.status, &*problem.code) {
                (401, _) => complaint.hint(format!("`{TOKEN}` or `token_file` holds the key")),
                (500, _) => {
                    let id = &problem.request_id;
                    complaint.hint(format!("the server's log has more, by the id {id}"))
                }
                // No problem of Genie's: it was another server, or what stands before this one.
                (_, "") => complaint.hint(ELSEWHERE),
                (_, "requester") => complaint.with_hint_of().hint("use the key of someone else"),
                _ => complaint.with_hint_of(),
            }
        }
        Error::Unreachable { .. } => {
            Complaint::no(text).hint("check the address, and that `genie serve` runs there")
        }
        Error::Unreadable(_) => Complaint::usage(text).hint(ELSEWHERE),
        _ => Complaint::usage(text).with_hint_of(),
    }
}

/// Where a run has come to a halt.
pub(crate) enum Halt {
    /// At its end.
    Ended(Outcome, End),
    /// At what a human must decide.
    Waiting(Waiting),
}

impl Server {
    /// The run that a user has named by its id or by the beginning of it.
    pub(crate) async fn find_run(&self, name: &str) -> anyhow::Result<RunId> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(RunId(id));
        }
        named::check(name, named::RUNS)?;
        let runs = self.runs(None, usize::MAX).await?.0;
        Ok(named::run(name, runs)?.run_id)
    }

    /// The approval that a user has named by its id or by the beginning of it.
    pub(crate) async fn find_approval(&self, name: &str) -> anyhow::Result<Approval> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(self.client.approval(ApprovalId(id)).await.map_err(complaint)?);
        }
        named::check(name, named::APPROVALS)?;
        named::approval(name, self.approvals(None).await?)
    }

    /// At most so many runs, the newest first, and whether there are more.
    pub(crate) async fn runs(
        &self,
        status: Option<String>,
        limit: usize,
    ) -> anyhow::Result<(Vec<Summary>, bool)> {
        let (mut runs, mut after) = (Vec::new(), None);
        loop {
            let page_limit = Some(PAGE.min(limit - runs.len()));
            let wanted = Runs { status: status.clone(), after, limit: page_limit };
            let page = self.client.runs(&wanted).await.map_err(complaint)?;
            runs.extend(page.data);
            after = page.next;
            if after.is_none() || runs.len() >= limit {
                return Ok((runs, after.is_some()));
            }
        }
    }

    /// Every approval that the key may see, or those of a run, oldest first.
    pub(crate) async fn approvals(&self, run: Option<RunId>) -> anyhow::Result<Vec<Approval>> {
        let (mut approvals, mut after) = (Vec::new(), None);
        loop {
            let wanted = Approvals { run, after, limit: Some(PAGE), status: None };
            let page = self.client.approvals(&wanted).await.map_err(complaint)?;
            approvals.extend(page.data);
            after = page.next;
            if after.is_none() {
                return Ok(approvals);
            }
        }
    }

    /// These approvals.
    pub(crate) async fn all_of(&self, ids: &[ApprovalId]) -> anyhow::Result<Vec<Approval>> {
        let mut approvals = Vec::with_capacity(ids.len());
        for id in ids {
            approvals.push(self.client.approval(*id).await.map_err(complaint)?);
        }
        Ok(approvals)
    }

    /// What is on record of a run now, and the id of the last event.
    pub(crate) async fn told_so_far(
        &self,
        run: RunId,
    ) -> anyhow::Result<(Vec<Entry>, Option<u64>)> {
        let mut events = self.client.events_so_far(run, None);
        let mut entries = Vec::new();
        while let Some(event) = events.next().await.map_err(complaint)? {
            entries.extend(event.entry.map(|entry| *entry));
        }
        Ok((entries, events.last()))
    }

    /// Shows the events until the run halts; one that is being cancelled may wait on the way.
    pub(crate) async fn follow(
        &self,
        events: &mut Events,
        screen: &mut Screen,
    ) -> anyhow::Result<Halt> {
        let (run, halts) = (events.run(), events.stop_where_it_waits());
        while let Some(event) = events.next().await.map_err(complaint)? {
            screen.show(Told::There(run, &event))?;
            match event.entry.map(|entry| *entry) {
                Some(Entry::Outcome { outcome, at, .. }) => {
                    let end = self.end(run).await?;
                    let End { records, messages, duration_us, .. } = end;
                    let last = Entry::RunEnd { run_id: run, at, records, messages, duration_us };
                    screen.show(Told::Entry(&last))?;
                    return Ok(Halt::Ended(Outcome::clone(&outcome), end));
                }
                // For a time alone, a run waits by itself.
                Some(Entry::RunWaiting { wake_at, approvals, .. })
                    if halts && !approvals.is_empty() =>
                {
                    return Ok(Halt::Waiting(Waiting { wake_at, approvals }));
                }
                _ => {}
            }
        }
        anyhow::bail!("the server's events ended before the run")
    }

    /// What the last record of a run says that has ended.
    async fn end(&self, run: RunId) -> anyhow::Result<End> {
        let patience = tokio::time::Instant::now() + END_WAIT;
        loop {
            let Run { usage, receipt, .. } = self.client.run(run).await.map_err(complaint)?;
            let head = receipt.and_then(|receipt| receipt.head);
            if let (Some(head), Some(messages), Some(duration_us)) =
                (head, usage.messages, usage.duration_us)
            {
                return Ok(End { head, records: usage.records, messages, duration_us });
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < patience,
                "the run's end is not on record"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The run, and the proof of how it ended.
    pub(crate) async fn receipt(&self, name: &str) -> anyhow::Result<(RunId, String)> {
        let run = self.find_run(name).await?;
        Ok((run, self.client.receipt(run).await.map_err(complaint)?))
    }
}
