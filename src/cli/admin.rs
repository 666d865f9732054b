//! `genie admin`: who may come in over HTTP, for whoever may open the database.

mod user;

use std::process::ExitCode;

use genie_core::Tenant;
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
    /// Make an account that signs in with a password, or change its rights, password or state.
    User(user::Args),
}

pub(crate) fn main(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Create { tenant, subject, json } => {
            create(config, (tenant, subject.as_deref()), *json)?;
        }
        Command::User(args) => {
            over(config, async |store| user::run(args, config, store).await)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something to a database, which is made if there is none.
fn over<T>(
    config: &Config,
    act: impl AsyncFnOnce(&Opened) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let place = looking::location(config)?;
    stored::block_on(async {
        let store = match stored::try_look(config).await {
            Err(stored::NotOpen::Missing(_) | stored::NotOpen::Older(_)) => {
                let made = genie_store::migrate(&place).await;
                made.map_err(|error| Complaint::usage(error.to_string()).with_hint_of())?;
                stored::look(config).await?
            }
            store => store.map_err(stored::NotOpen::complaint)?,
        };
        let done = act(&store).await;
        stored::close(store).await;
        done
    })
}

fn create(
    config: &Config,
    (tenant, subject): (&str, Option<&str>),
    json: bool,
) -> anyhow::Result<()> {
    if tenant.trim().is_empty() || subject.is_some_and(|name| name.trim().is_empty()) {
        return Err(Complaint::usage("a tenant or subject is not empty").into());
    }
    let identity = person::administrator(tenant, subject);
    let subject = identity.subject.clone();
    let key = over(config, async |store| {
        let who = (&Tenant::of_operator(&*store.runs, tenant), identity);
        let now = SystemClock.now();
        Ok(genie_edge::first_admin(&*store.keys, &SystemIds, now, who).await?)
    })?;
    if json {
        return stdout::write_json(&json!({ "tenant": tenant, "subject": subject, "key": key }));
    }
    stdout::write(format!("{key}\n").as_bytes())
}
