//! `genie serve`: the agents behind HTTP, until a signal ends it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use genie_agents::finance::domain::statement::{ParseOptions, parse, sniff};
use genie_agents::{assistant, finance};
use genie_core::clock::Clock;
use genie_core::label::{Classification, Label};
use genie_core::{Agent, Ask};
use genie_edge::{About, Admit, Entrance, Options, Question, Read, Requested, Seeds, Server};

use genie_store::Location;
use serde_json::json;

use super::complaint::Complaint;
use super::{person, stdout, stored};
use crate::app::{Bank, Running};
use crate::config::{Config, SignIn};
use crate::host::{SystemClock, SystemIds};
use crate::pacing::Pacing;
use crate::{profiles, signing};

/// Arguments of `genie serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen on this address in place of that of the settings; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS:PORT", env = "GENIE_LISTEN")]
    listen: Option<SocketAddr>,
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    #[cfg(target_os = "linux")]
    small_pages();
    stored::block_on(serve(args, config, agents))
}

/// Has memory counted in small pages: in huge ones of 2 MiB, of which each thread has some, an idle
/// server is 14 MB larger.
#[cfg(target_os = "linux")]
fn small_pages() {
    // A kernel that has no huge pages knows nothing of it.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

async fn serve(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    // Before anything is there to be ended.
    let signalled = signalled()?;
    let pacing = Pacing::start(&config.redis).await;
    let pacing = pacing.map_err(|problem| Complaint::usage(problem).with_hint_of())?;
    let running = stored::installation(config.clone(), agents, Bank::Answers).start().await;
    let running = Arc::new(running.map_err(stored::refused)?);
    let address = args.listen.unwrap_or(config.http.listen);
    let (server, key) = match started(config, (&running, &pacing), address).await {
        Ok(started) => started,
        Err(error) => {
            running.drain().await;
            return Err(error);
        }
    };
    let told = tell(server.address(), key.as_deref());
    if told.is_ok() {
        signalled.await;
    }
    server.drain();
    if told.is_ok()
        && let Some(delay) = config.http.drain_delay
    {
        // Whoever asks for `/ready` sees that the process is about to stop, and sends nobody any
        // more; whoever still comes is served.
        tokio::time::sleep(delay).await;
    }
    let left = running.stop().await;
    server.close().await;
    running.finish().await;
    pacing.close().await;
    if left > 0 {
        tracing::warn!(left, "runs were left for the next process");
    }
    told.map(|()| ExitCode::SUCCESS)
}

/// Starts the edge; gives the first key, if one was made.
async fn started(
    config: &Config,
    (running, pacing): (&Arc<Running>, &Pacing),
    address: SocketAddr,
) -> anyhow::Result<(Server, Option<String>)> {
    let unusable = |error: &dyn std::fmt::Display| Complaint::usage(error.to_string());
    let seeds = seeds(config).map_err(|error| unusable(&error))?;
    let key = first_key(running).await?;
    let options = options(config, (running, pacing), seeds);
    let started = genie_edge::start(options, running.system().tap(), address).await;
    let server = started.map_err(|error| unusable(&error))?;
    running.push(server.figures());
    Ok((server, key))
}

/// The keys that sign tokens, to be read again whenever they may have been rotated.
fn seeds(config: &Config) -> Result<Seeds, signing::Error> {
    let Some(file) = config.tokens_key() else {
        let only = vec![signing::made(&SystemIds)];
        return Ok(Arc::new(move || Ok(only.clone())));
    };
    signing::load_or_make(&file, (&SystemIds, SystemClock.now()))?;
    Ok(Arc::new(move || {
        signing::seeds(&file, SystemClock.now()).map_err(|error| error.to_string())
    }))
}

/// Makes a key if nobody could make any over HTTP.
async fn first_key(running: &Running) -> anyhow::Result<Option<String>> {
    let (keys, now) = (running.keys(), SystemClock.now());
    if keys.has_admin(now).await? {
        return Ok(None);
    }
    let identity = person::administrator(person::TENANT, None);
    let who = (&running.system().tenant(person::TENANT), identity);
    Ok(Some(genie_edge::first_admin(&**keys, &SystemIds, now, who).await?))
}

fn tell(address: SocketAddr, key: Option<&str>) -> anyhow::Result<()> {
    let key = key.map(|key| format!("administrator key, shown only now: {key}\n"));
    let text = format!("{}listening on http://{address}\n", key.unwrap_or_default());
    stdout::write(text.as_bytes())
}

fn options(config: &Config, (running, pacing): (&Arc<Running>, &Pacing), seeds: Seeds) -> Options {
    let sealing = running.clone();
    let SignIn { registration, access, session, .. } = config.sign_in;
    let newcomers = registration.then(|| config.sign_in.newcomer());
    let admit: Admit = Arc::new(move |identity| sealing.admit(identity));
    Options {
        kernel: running.kernel().clone(),
        entrance: Entrance::new(
            running.keys().clone(),
            running.accounts().clone(),
            admit,
            newcomers,
        ),
        operators: running.system().tenant(person::TENANT),
        sign_in: genie_edge::SignIn { seeds, access, session },
        paces: pacing.paces.clone(),
        attempts: running.attempts().clone(),
        documents: running.documents().clone(),
        look,
        read: statement,
        currency: config.prices.currency.clone(),
        receipts: running.receipts(),
        evidence: running.evidence(),
        profiles: profiles::profiles(),
        about: About {
            storage: match config.storage.location() {
                None => "memory",
                Some(Location::Sqlite(_)) => "sqlite",
                Some(Location::Postgres(_)) => "postgres",
            },
            transport: "in_process",
            limits: pacing.place,
            disclosure: config.disclosure.clone(),
        },
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        ask: question,
        execute: tool_call,
        label: Label::new(Classification::Confidential).with_region(&config.home_region),
        statement_bytes_max: config.limits.blob_bytes_max,
        limits: config.http.limits,
    }
}

fn question(asked: Question) -> Ask {
    let agent = asked.agent.as_deref().unwrap_or("supervisor");
    finance::ask_of(agent, &asked.question, asked.statement)
}

/// Why what begins so is no statement, if that shows.
fn look(head: &[u8]) -> Result<(), String> {
    #[cfg(feature = "xlsx")]
    if genie_sheets::is_workbook(head) {
        return Ok(());
    }
    sniff(head).map_err(|error| error.to_string())
}

/// What a statement says of itself, or why it is none; a workbook is read as CSV.
fn statement(content: Vec<u8>) -> Result<Read, String> {
    #[cfg(feature = "xlsx")]
    let content = if genie_sheets::is_workbook(&content) {
        genie_sheets::to_csv(&content).map_err(|error| error.to_string())?
    } else {
        content
    };
    let ledger = parse(&content, &ParseOptions::default()).map_err(|error| error.to_string())?;
    let statement = json!({
        "layout": ledger.layout,
        "currency": ledger.currency,
        "rows": ledger.entries.len(),
        "rejected": ledger.rejected_count,
        "rejects": ledger.rejects,
    });
    Ok(Read { content, statement })
}

fn tool_call(requested: Requested) -> Ask {
    assistant::execute(&requested.tool, requested.arguments)
}

/// Ready once the process is asked to end: by `SIGTERM`, or by `SIGINT` from the keyboard.
#[cfg(unix)]
fn signalled() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Ready once the process is asked to end from the keyboard.
#[cfg(not(unix))]
fn signalled() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
