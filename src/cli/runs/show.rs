//! `genie runs show`: everything on record of one run.

use std::fmt::Write;
use std::process::ExitCode;

use genie_core::approval::Approval;
use genie_core::clock::Clock;
use genie_core::journal::Entry;
use genie_core::outcome::Outcome;
use genie_core::runs::Summary;
use genie_core::tap::{outcome_of, shown};
use serde_json::{Value, json};

use crate::cli::approvals::{Lines, Standing};
use crate::cli::remote::{self, Server};
use crate::cli::run::answer;
use crate::cli::run::draw::Page;
use crate::cli::run::event::Told;
use crate::cli::run::tree::Tree;
use crate::cli::story::Story;
use crate::cli::{stdout, stored, waits, words};
use crate::config::Config;
use crate::host::SystemClock;

pub(super) async fn main(config: &Config, run: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let shown = match remote::server(config)? {
        Some(server) => Shown::of_server(&server, run).await?,
        None => Shown::of_database(config, run).await?,
    };
    if as_json {
        stdout::write_json(&shown.json())?;
    } else {
        stdout::write_styled(&shown.text(config)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Shown {
    run: Summary,
    /// How many records there are.
    records: u64,
    /// What they say; a server leaves out those that only complete others.
    entries: Vec<Entry>,
    outcome: Option<Outcome>,
    approvals: Vec<Approval>,
}

impl Shown {
    async fn of_database(config: &Config, run: &str) -> anyhow::Result<Self> {
        let store = stored::look(config).await?;
        let run = stored::find_run(&store, run).await?;
        let records = store.journal.read_run(run.run_id).await?;
        let approvals = stored::all_approvals(&store, Some(run.run_id)).await?;
        stored::close(store).await;
        Ok(Self {
            run,
            records: records.len() as u64,
            entries: records.iter().map(|record| record.entry.clone()).collect(),
            outcome: outcome_of(&records),
            approvals,
        })
    }

    async fn of_server(server: &Server, run: &str) -> anyhow::Result<Self> {
        let run = server.find_run(run).await?;
        let shown = server.client.run(run).await.map_err(remote::complaint)?;
        let (mut entries, _) = server.told_so_far(run).await?;
        let outcome = entries.iter().rev().find_map(|entry| match entry {
            Entry::Outcome { outcome, .. } => Some(Outcome::clone(outcome)),
            _ => None,
        });
        let approvals = server.approvals(Some(run)).await?;
        let records = shown.usage.records;
        if let (Some(at), Some(messages), Some(duration_us)) =
            (shown.summary.ended_at, shown.usage.messages, shown.usage.duration_us)
        {
            // The last record is no event.
            entries.push(Entry::RunEnd { run_id: run, at, records, messages, duration_us });
        }
        Ok(Self { run: shown.summary, records, entries, outcome, approvals })
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        let standing = |approval: &Approval| Standing {
            approval: approval.clone(),
            run: Some(self.run.clone()),
            ended: self.run.ended_at.is_some(),
        };
        self.approvals.iter().map(standing)
    }

    /// How many records were erased.
    fn erased(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_erased()).count()
    }

    fn story(&self) -> Story {
        Story::of(&self.entries, self.outcome.clone())
    }

    fn json(&self) -> Value {
        let (story, now) = (self.story(), SystemClock.now());
        let mut object = json!(self.run);
        object["erased"] = json!(self.erased());
        object["records"] = json!(self.records);
        object["messages"] = self.entries.iter().filter_map(message).collect();
        object["effects"] = story.effects_json();
        object["approvals"] = self.standings().map(|standing| standing.json(now)).collect();
        if let Some(outcome) = &story.outcome {
            object["outcome"] = answer::outcome_json(outcome);
        }
        object
    }

    fn text(&self, config: &Config) -> anyhow::Result<String> {
        let (story, run) = (self.story(), &self.run);
        let mut lines = Lines::default();
        lines.add("run", &run.run_id.to_string());
        lines.add("status", &run.status);
        lines.add("asked", &format!("`{}` by {}", run.agent, run.subject));
        lines.add("started", &format!("{} UTC", words::moment(run.started_at)));
        if let (Some(ended), Some(took)) = (run.ended_at, super::took(run)) {
            lines.add("ended", &format!("{} UTC, after {took}", words::moment(ended)));
        }
        if let Some(wake_at) = run.wake_at {
            lines.add("waits", &words::until(wake_at));
        }
        lines.add("records", &self.records.to_string());
        let erased = self.erased();
        if erased > 0 {
            lines.add("erased", &format!("{erased} of them; their hashes stay"));
            return Ok(lines.0);
        }
        let (mut text, mut tree) = (lines.0, Tree::default());
        text.push_str("\nMessages\n");
        for entry in &self.entries {
            text.push_str(&tree.grow(Told::Entry(entry)));
        }
        let effects = story.effects_text();
        if !effects.is_empty() {
            text.push_str("\nEffects\n");
            text.push_str(&effects);
        }
        text.push_str(&self.approvals_text(config));
        if let Some(outcome) = &story.outcome {
            text.push_str("\nOutcome\n");
            match outcome {
                Outcome::Completed { kind, answer, .. } => {
                    let answer = answer::text(kind, answer, Page::of_stdout())?;
                    text.push_str(answer.trim_start_matches('\n'));
                }
                outcome => text.push_str(
                    &Page::of_stdout()
                        .paragraph(clap::builder::styling::Style::new(), &words::ended(outcome)),
                ),
            }
        }
        Ok(text)
    }

    fn approvals_text(&self, config: &Config) -> String {
        let mut text = String::new();
        let now = SystemClock.now();
        for standing in self.standings() {
            let approval = &standing.approval;
            let (id, to) = (words::short(approval.id.0), &approval.to);
            let status = standing.status(now);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{id} {status}: {to}, {}", approval.reason);
            if status == "pending" {
                text.push_str(&waits::commands(config, approval));
            }
        }
        if text.is_empty() { text } else { format!("\nApprovals\n{text}") }
    }
}

/// A message with its verdict.
fn message(entry: &Entry) -> Option<Value> {
    match entry {
        Entry::Verdict { message: Some(_), .. } => Some(shown(entry, None)),
        _ => None,
    }
}
