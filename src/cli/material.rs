//! What the settings name and hold besides themselves: keys and rules, read before anything starts,
//! so that what cannot be used is told with the setting that names it.
//!
//! Nothing is made here: a key that is not there is made at first use.

use std::fmt::Display;

use genie_core::clock::Clock;

use super::complaint::Complaint;
use super::remote;
use crate::auditor::keys::KeyFile;
use crate::config::{Config, Setting, Source};
use crate::host::SystemClock;
use crate::signing;

/// Reads what whoever serves would.
///
/// # Errors
/// The first that cannot be used, with its setting and who says so; never what is in it.
pub(crate) fn check(config: &Config, settings: &[Setting]) -> anyhow::Result<()> {
    let unusable = |key, problem: &dyn Display| complaint(settings, key, problem);
    if let Some(keys) = config.sealing() {
        keys.load().map_err(|error| unusable("sealing_key", &error))?;
    }
    if let Some(path) = config.checkpoint_key() {
        let loaded = KeyFile::at(path).load().map_err(anyhow::Error::from);
        loaded.map_err(|error| unusable("checkpoint_key", &format_args!("{error:#}")))?;
    }
    if let Some(path) = config.tokens_key() {
        match signing::seeds(&path, SystemClock.now()) {
            Ok(_) | Err(signing::Error::Missing(_)) => {}
            Err(error) => return Err(unusable("sign_in.key", &error).into()),
        }
    }
    if config.policies.is_some() {
        let rules = genie_policies::rules(config.policies.as_deref());
        rules.map_err(|error| unusable("policies", &error))?;
    }
    if config.server.is_some() && config.token_file.is_some() {
        remote::server(config).map_err(|error| unusable("token_file", &error))?;
    }
    Ok(())
}

/// What is wrong with what a setting names, and who says so.
fn complaint(settings: &[Setting], key: &str, problem: &dyn Display) -> Complaint {
    let source = settings.iter().find(|setting| setting.key == key).map(|setting| &setting.source);
    let place = match source {
        None | Some(Source::Default) => String::new(),
        Some(source) => format!("{source}: "),
    };
    Complaint::usage(format!("{place}`{key}`: {problem}")).with_hint_of()
}
