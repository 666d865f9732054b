//! `genie admin`: who may come in over HTTP, for whoever may open the database.

use std::process::ExitCode;

use genie_core::clock::Clock;
use genie_store::Opened;
use serde_json::json;

use super::complaint::Complaint;
use super::{looking, person, stdout, stored};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

/// Arguments of `genie admin`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an administrator's key; it is printed now and never again.
    Create {
        /// The tenant whose keys it may make and whose runs it may see.
        #[arg(long, default_value = person::TENANT)]
        tenant: String,
        /// Who it lets in; without this, the user of the operating system.
        #[arg(long, value_name = "NAME")]
        subject: Option<String>,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn main(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let Command::Create { tenant, subject, json } = &args.command;
    if tenant.trim().is_empty() || subject.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Complaint::usage("a tenant or subject is not empty").into());
    }
    let identity = person::administrator(tenant, subject.as_deref());
    let subject = identity.subject.clone();
    let place = looking::location(config)?;
    let key = stored::block_on(async {
        let store = match stored::try_look(config).await {
            Err(stored::NotOpen::Missing(_) | stored::NotOpen::Older(_)) => {
                let made = genie_store::migrate(&place).await;
                made.map_err(|error| Complaint::usage(error.to_string()).with_hint_of())?;
                stored::look(config).await?
            }
            store => store.map_err(stored::NotOpen::complaint)?,
        };
        let made = make(&store, identity).await;
        stored::close(store).await;
        made
    })?;
    if *json {
        stdout::write_json(&json!({ "tenant": tenant, "subject": subject, "key": key }))?;
    } else {
        stdout::write(format!("{key}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn make(store: &Opened, identity: genie_core::principal::Identity) -> anyhow::Result<String> {
    let now = SystemClock.now();
    Ok(genie_edge::first_admin(&*store.keys, &SystemIds, now, identity).await?)
}
