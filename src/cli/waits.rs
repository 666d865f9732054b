//! What a run waits for, in words, with the commands that let it go on.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};
use genie_core::approval::{Approval, Subject};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;

use super::run::draw::Page;
use super::words::{people, short, until};
use crate::config::Config;
use crate::storage::{self, Storage};

/// Most characters of what would be sent; `genie approvals show` has all of it.
const ARGUMENTS_LEN_MAX: usize = 300;

const BOLD: Style = Style::new().bold();
const COMMAND: Style =
    Style::new().fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Cyan)));

/// That a run waits, for whom, and how to let it go on.
pub(crate) fn text(
    config: &Config,
    run: RunId,
    wake_at: Timestamp,
    approvals: &[Approval],
) -> String {
    let mut text = format!("\n{BOLD}waiting for a human{BOLD:#}, {}\n", until(wake_at));
    for approval in approvals {
        text.push_str(&asked(approval));
        text.push_str(&commands(config, approval));
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "\nrun: {run}\n");
    text
}

/// What is asked, in one paragraph.
pub(crate) fn asked(approval: &Approval) -> String {
    let Approval { from, to, kind, reason, policy, requester, requirement, .. } = approval;
    let page = Page::of_stdout();
    let question = match approval.subject {
        Subject::Message => format!("May `{from}` send `{kind}` to `{to}`? {policy}: {reason}."),
        Subject::UnknownEffect => format!("Did `{to}`, called by `{from}`, happen? {reason}."),
    };
    let not_they = if requirement.requester_may {
        String::new()
    } else {
        format!(", but not {requester}, who asked for it")
    };
    let needs = format!("It takes {}{not_they}.", people(requirement));
    // Of a tool call, what the tool is told; of anything else, all that is sent.
    let arguments = approval.arguments.get("arguments").unwrap_or(&approval.arguments).to_string();
    let arguments = match arguments.char_indices().nth(ARGUMENTS_LEN_MAX) {
        Some((end, _)) => format!("{}…", &arguments[..end]),
        None => arguments,
    };
    page.item(&question)
        + &page.under_item(Style::new().dimmed(), &arguments)
        + &page.under_item(Style::new(), &needs)
}

/// The commands that decide, ready to be copied.
pub(crate) fn commands(config: &Config, approval: &Approval) -> String {
    let id = short(approval.id.0);
    // On a server, the key says who decides.
    let named = !approval.requirement.requester_may && config.server.is_none();
    let name = if named { " --as NAME" } else { "" };
    let decide: &[String] = &match approval.subject {
        Subject::Message => {
            [format!("approve {id}{name}"), format!("reject {id}{name} --reason \"…\"")]
        }
        Subject::UnknownEffect => [
            format!("resolve {id} happened{name} --reason \"…\""),
            format!("resolve {id} did-not-happen{name} --reason \"…\""),
        ],
    };
    let mut text = String::from("\n");
    for words in [&format!("show {id}")].into_iter().chain(decide) {
        let command = command(config, &format!("approvals {words}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {COMMAND}{command}{COMMAND:#}");
    }
    text
}

/// A command of this program, over the same runs as this one.
pub(crate) fn command(config: &Config, words: &str) -> String {
    if let Some(server) = &config.server {
        let said = std::env::var_os("GENIE_SERVER").is_some_and(|said| said == **server);
        let place = if said { String::new() } else { format!("--server {} ", quoted(server)) };
        return format!("genie {place}{words}");
    }
    let said = storage::of_environment().map(|(_, storage)| storage);
    let unsaid = said.or_else(|| storage::directory().map(Storage::Directory));
    let place = match &config.storage {
        storage if unsaid.as_ref() == Some(storage) => String::new(),
        Storage::Directory(path) => format!("--data {} ", quoted(&path.display().to_string())),
        // A URL may hold a password, which is nobody's business.
        Storage::Database(_) => "--database URL ".to_owned(),
        Storage::Unset | Storage::Memory => String::new(),
    };
    format!("genie {place}{words}")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_place_and_never_a_password() {
        let command = |storage| command(&Config { storage, ..Config::default() }, "runs list");
        let directory = |path: &str| command(Storage::Directory(path.into()));
        assert_eq!(directory("/srv/runs"), "genie --data /srv/runs runs list");
        assert_eq!(directory("/my runs"), "genie --data '/my runs' runs list");
        assert_eq!(directory("/it's"), "genie --data '/it'\\''s' runs list");
        let url = "postgres://genie:secret@db/genie".to_owned();
        assert_eq!(command(Storage::Database(url)), "genie --database URL runs list");
    }
}
