//! `genie approvals show`: everything that there is to decide on.

use std::fmt::Write;
use std::process::ExitCode;

use genie_core::approval::{Approval, Subject};
use genie_core::clock::{Clock, Timestamp};

use super::Standing;
use crate::cli::run::draw::visible;
use crate::cli::{remote, stdout, stored, waits, words};
use crate::config::Config;
use crate::host::SystemClock;

pub(super) async fn main(config: &Config, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let standing = if let Some(server) = remote::server(config)? {
        let approval = server.find_approval(id).await?;
        Standing::of_server(&server, approval).await?
    } else {
        let store = stored::look(config).await?;
        let approval = stored::find_approval(&store, id).await?;
        let standing = Standing::of(&store, approval).await?;
        stored::close(store).await;
        standing
    };
    let now = SystemClock.now();
    if as_json {
        stdout::write_json(&standing.json(now))?;
    } else {
        stdout::write_styled(&text(config, &standing, now))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(config: &Config, standing: &Standing, now: Timestamp) -> String {
    let approval = &standing.approval;
    let status = standing.status(now);
    let mut lines = Lines::default();
    lines.add("approval", &approval.id.to_string());
    lines.add("status", status);
    lines.add("question", &question(approval));
    lines.add("kind", &approval.kind);
    lines.json("payload", &approval.arguments);
    lines.add("digest", &format!("sha256 {}", approval.digest));
    lines.add("policy", &format!("{} {}", approval.policy, approval.policy_version));
    lines.add("reason", &approval.reason);
    lines.add("asked by", &approval.requester);
    let requirement = &approval.requirement;
    let who = words::people(requirement);
    let not = if requirement.requester_may { "" } else { ", but not whoever asked" };
    lines.add("takes", &format!("{who}{not}"));
    lines.add("asked at", &format!("{} UTC", words::moment(approval.requested_at)));
    lines.add("waits", &words::until(approval.expires_at));
    for decision in &approval.decisions {
        let why = if decision.reason.is_empty() { "" } else { ": " };
        let (by, reason) = (&decision.by, &decision.reason);
        let said = words::choice(&decision.choice);
        let at = words::moment(decision.at);
        lines.add("decided", &format!("{said} by {by} at {at} UTC{why}{reason}"));
    }
    let run = standing.run.as_ref().map_or("not on record", |run| &*run.status);
    let run = if standing.run.is_none() && !standing.ended { "not shown to you" } else { run };
    lines.add("run", &format!("{} {run}", approval.run_id));
    if status == "pending" {
        lines.0.push_str(&waits::commands(config, approval));
    }
    lines.0
}

fn question(approval: &Approval) -> String {
    let Approval { from, to, .. } = approval;
    match approval.subject {
        Subject::Message => format!("may `{from}` send this to `{to}`?"),
        Subject::UnknownEffect => format!("did `{to}`, called so by `{from}`, happen?"),
    }
}

/// Lines of a name and what it is.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) String);

impl Lines {
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<10} {}", visible(value));
    }

    fn json(&mut self, name: &str, value: &serde_json::Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        let mut name = name;
        for line in text.lines() {
            self.add(std::mem::take(&mut name), line);
        }
    }
}
