//! `genie config`: which settings are in force, and who says so.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use toml::Value;

use super::{material, stdout};
use crate::config::{Config, Setting, Source};

/// Arguments of `genie config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every setting in force, and where it comes from.
    ///
    /// What is printed is itself a settings file. A password in a URL is left out.
    Print {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the settings file, the environment, and the keys and rules that they name, and do
    /// nothing else.
    ///
    /// Exits with 2 if a setting or what it names cannot be used, as `genie serve` does, and with 1
    /// if a variable of the environment looks like one of Genie's and is none.
    Check,
}

/// Variables of Genie's that are no settings.
const OTHERS: [&str; 7] = [
    "GENIE_CONFIG",
    "GENIE_LISTEN",
    "GENIE_DATA",
    "GENIE_DATABASE",
    "GENIE_CHECKPOINT_KEY_FILE",
    super::SEALING_SECRET,
    super::remote::TOKEN,
];

/// What a variable of the process says.
pub(crate) fn of_environment(variable: &str) -> Option<String> {
    std::env::var_os(variable)?.into_string().ok()
}

/// Notes that an option, or what stands for one, has the last word on a setting.
pub(crate) fn overrule(settings: &mut [Setting], key: &str, value: &str, source: Source) {
    if let Some(setting) = settings.iter_mut().find(|setting| setting.key == key) {
        (setting.value, setting.source) = (Value::String(value.to_owned()), source);
    }
}

pub(crate) fn main(args: &Args, config: &Config, settings: &[Setting]) -> anyhow::Result<ExitCode> {
    if matches!(args.command, Command::Print { .. }) {
        warn_of_strays(settings);
    }
    match args.command {
        Command::Print { json: true } => stdout::write_json(&as_json(settings))?,
        Command::Print { json: false } => stdout::write(as_toml(settings).as_bytes())?,
        Command::Check => return check(config, settings),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, settings: &[Setting]) -> anyhow::Result<ExitCode> {
    material::check(config, settings)?;
    let given = settings.iter().filter(|setting| setting.source != Source::Default).count();
    let strays = strays(settings);
    if strays.is_empty() {
        let all = settings.len();
        let said = format!("All {all} settings are sound; {given} are not the default.\n");
        stdout::write(said.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    for stray in strays {
        stdout::write(format!("{stray}\n").as_bytes())?;
    }
    Ok(ExitCode::FAILURE)
}

/// Says which variables of the environment are taken for nothing.
pub(crate) fn warn_of_strays(settings: &[Setting]) {
    for stray in strays(settings) {
        anstream::eprintln!("warning: {stray}");
    }
}

/// The variables of the environment that look like Genie's and are none, in words. None stops a
/// process: what starts it may set its own, as Kubernetes does beside a service called `genie`.
pub(crate) fn strays(settings: &[Setting]) -> Vec<String> {
    let of_settings: Vec<String> = settings.iter().map(Setting::variable).collect();
    let known = || of_settings.iter().map(String::as_str).chain(OTHERS);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut strays: Vec<String> = names
        .filter(|name| name.starts_with("GENIE_") && !name.starts_with("GENIE_TEST_"))
        .filter(|name| known().all(|known| known != name))
        .collect();
    strays.sort();
    let told = strays.iter().map(|name| {
        let near = genie_policies::nearest(name, known());
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("`{name}` is no setting{hint}")
    });
    told.collect()
}

fn as_toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut table = "";
    for setting in settings {
        let (own, name) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        if own != table {
            table = own;
            let _ = writeln!(text, "\n[{table}]");
        }
        let line = format!("{name} = {}", setting.value);
        let _ = writeln!(text, "{line:<40} # {}", setting.source);
    }
    text
}

fn as_json(settings: &[Setting]) -> serde_json::Value {
    let settings = settings.iter().map(|setting| {
        let source = match &setting.source {
            Source::Default => json!({ "kind": "default" }),
            Source::File { path, line } => json!({ "kind": "file", "path": path, "line": line }),
            Source::Environment(variable) => {
                json!({ "kind": "environment", "variable": variable })
            }
            Source::Option(option) => json!({ "kind": "option", "option": option }),
        };
        let value = match &setting.value {
            Value::String(text) => json!(text),
            Value::Integer(number) => json!(number),
            Value::Boolean(truth) => json!(truth),
            other => json!(other),
        };
        json!({
            "key": setting.key,
            "value": value,
            "variable": setting.variable(),
            "source": source,
        })
    });
    json!({ "settings": settings.collect::<Vec<_>>() })
}
