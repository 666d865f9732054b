//! `genie serve`: the agents behind HTTP, until a signal ends it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use genie_agents::{assistant, finance};
use genie_core::clock::Clock;
use genie_core::label::{Classification, Label};
use genie_core::{Agent, Ask};
use genie_edge::{Options, Question, Requested};

use super::complaint::Complaint;
use super::{person, stdout, stored};
use crate::app::{Bank, Running};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

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
    stored::block_on(serve(args, config, agents))
}

async fn serve(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    // Before anything is there to be ended.
    let signalled = signalled()?;
    let running = stored::installation(config.clone(), agents, Bank::Answers).start().await;
    let running = Arc::new(running.map_err(stored::refused)?);
    let key = first_key(&running).await;
    let address = args.listen.unwrap_or(config.http.listen);
    let server = match key {
        Ok(key) => genie_edge::start(options(config, &running), address)
            .await
            .map(|server| (server, key))
            .map_err(|error| Complaint::usage(error.to_string()).into()),
        Err(error) => Err(error),
    };
    let (server, key) = match server {
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
    let left = running.stop().await;
    server.close().await;
    running.finish().await;
    if left > 0 {
        tracing::warn!(left, "runs were left for the next process");
    }
    told.map(|()| ExitCode::SUCCESS)
}

/// Makes a key if nobody could make any over HTTP.
async fn first_key(running: &Running) -> anyhow::Result<Option<String>> {
    let (keys, now) = (running.keys(), SystemClock.now());
    if keys.has_admin(now).await? {
        return Ok(None);
    }
    let identity = person::administrator(person::TENANT, None);
    Ok(Some(genie_edge::first_admin(&**keys, &SystemIds, now, identity).await?))
}

fn tell(address: SocketAddr, key: Option<&str>) -> anyhow::Result<()> {
    let key = key.map(|key| format!("administrator key, shown only now: {key}\n"));
    let text = format!("{}listening on http://{address}\n", key.unwrap_or_default());
    stdout::write(text.as_bytes())
}

fn options(config: &Config, running: &Arc<Running>) -> Options {
    let sealing = running.clone();
    Options {
        kernel: running.kernel().clone(),
        admit: Arc::new(move |identity| sealing.admit(identity)),
        keys: running.keys().clone(),
        attempts: running.attempts().clone(),
        receipts: running.receipts(),
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
