//! `genie admin user`: makes an account, or changes what it may do.

use std::io::Read;

use genie_core::Tenant;
use genie_core::clock::{Clock, Timestamp};
use genie_core::identity::accounts::Account;
use genie_edge::{Newcomer, NotMade};
use genie_store::Opened;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::complaint::Complaint;
use crate::cli::stdout;
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

/// Most bytes of a password on standard input.
const PASSWORD_BYTES_MAX: u64 = 4_096;

/// What to make of an account.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its e-mail address; an account that is not there is made.
    email: String,
    /// What its holder is called.
    #[arg(long)]
    name: Option<String>,
    /// The tenant that it belongs to.
    #[arg(long)]
    tenant: Option<String>,
    /// A role, such as `user`, `approver`, `auditor` or `admin`; those given take the place of
    /// those that it has.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope; those given take the place of those that it has.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A purpose that its holder consents to; those given take the place of those that it has.
    #[arg(long = "consent", value_name = "PURPOSE")]
    consents: Vec<String>,
    /// Take the password from standard input; all sessions of the account end.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    door: Door,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Whether an account lets anybody in.
#[derive(Debug, clap::Args)]
struct Door {
    /// Let nobody in with it; its sessions end, and its keys open nothing.
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let its holder in again.
    #[arg(long)]
    enable: bool,
}

/// Does it and says what the account is now.
pub(super) async fn run(args: &Args, config: &Config, store: &Opened) -> anyhow::Result<()> {
    let accounts = &*store.accounts;
    let password = if args.password_stdin { Some(password()?) } else { None };
    let now = SystemClock.now();
    let account = match accounts.claimed(&genie_edge::normal(&args.email)).await? {
        Some(found) => changed(args, store, (found, password), now).await?,
        None => made(args, config, store, password).await?,
    };
    if args.json {
        return stdout::write_json(&shown(&account));
    }
    let list = |words: &std::collections::BTreeSet<String>| {
        words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let rights = &account.identity;
    let state = if account.disabled_at.is_some() { "disabled" } else { "enabled" };
    let mut table = stdout::table(["account", "tenant", "roles", "scopes", "consents", "state"]);
    table.add_row([
        &*account.email,
        &rights.tenant,
        &list(&rights.roles),
        &list(&rights.scopes),
        &list(&rights.consents),
        state,
    ]);
    stdout::write_table(&table)
}

fn shown(account: &Account) -> Value {
    json!({
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "tenant": account.identity.tenant,
        "roles": account.identity.roles,
        "scopes": account.identity.scopes,
        "consents": account.identity.consents,
        "disabled_at": account.disabled_at,
    })
}

/// The first line of standard input.
fn password() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(PASSWORD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn refused(error: NotMade) -> anyhow::Error {
    match error {
        NotMade::Store(error) => error.into(),
        error => Complaint::usage(error.to_string()).into(),
    }
}

/// Sets what the arguments name.
fn set(args: &Args, account: &mut Account, now: Timestamp) -> Result<(), Complaint> {
    let named = args.tenant.iter().chain(&args.roles).chain(&args.scopes).chain(&args.consents);
    if named.chain(&args.name).any(|word| word.trim().is_empty()) {
        return Err(Complaint::usage("a name, tenant, role, scope or purpose is not empty"));
    }
    if let Some(name) = &args.name {
        account.name = name.as_str().into();
    }
    let rights = &mut account.identity;
    if let Some(tenant) = &args.tenant {
        rights.tenant.clone_from(tenant);
    }
    for (words, given) in [
        (&mut rights.roles, &args.roles),
        (&mut rights.scopes, &args.scopes),
        (&mut rights.consents, &args.consents),
    ] {
        if !given.is_empty() {
            *words = given.iter().cloned().collect();
        }
    }
    if args.door.disable {
        account.disabled_at = account.disabled_at.or(Some(now));
    }
    if args.door.enable {
        account.disabled_at = None;
    }
    Ok(())
}

/// The tenant that an account is in.
fn tenant_of(store: &Opened, account: &Account) -> Tenant {
    Tenant::of_operator(&*store.runs, &account.identity.tenant)
}

async fn changed(
    args: &Args,
    store: &Opened,
    (mut account, password): (Account, Option<Zeroizing<String>>),
    now: Timestamp,
) -> anyhow::Result<Account> {
    let before = tenant_of(store, &account);
    set(args, &mut account, now)?;
    let (accounts, after) = (&*store.accounts, tenant_of(store, &account));
    if let Some(password) = password {
        let given = (account, password);
        let of = (accounts, &before, &after);
        let set = genie_edge::set_password(of, &SystemIds, now, given).await;
        return set.map_err(refused);
    }
    accounts.change(&before, &account).await?;
    if args.door.disable {
        accounts.end_all(&after, account.id, now).await?;
    }
    Ok(account)
}

async fn made(
    args: &Args,
    config: &Config,
    store: &Opened,
    password: Option<Zeroizing<String>>,
) -> anyhow::Result<Account> {
    let Some(password) = password else {
        let problem = format!("there is no account `{}`", args.email);
        let hint = "give `--password-stdin` and its password on standard input to make it";
        return Err(Complaint::usage(problem).hint(hint).into());
    };
    let name = args.name.as_deref().unwrap_or(&args.email);
    let newcomer = Newcomer::new(&args.email, name, password).map_err(refused)?;
    let now = SystemClock.now();
    let made = newcomer.sign_up(&*store.accounts, &SystemIds, now, config.sign_in.newcomer()).await;
    let mut account = made.map_err(refused)?;
    let before = tenant_of(store, &account);
    set(args, &mut account, now)?;
    store.accounts.change(&before, &account).await?;
    Ok(account)
}
