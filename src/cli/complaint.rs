//! What the user is told when a command does not do what was asked: `error:`, then `hint:`.
//!
//! Owns the exit codes of refusals. Outcomes that are data, such as a denial printed as JSON, are
//! the business of their commands.

use std::io::Write;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};

/// Exit code when the answer is no: denied, failed, does not verify.
pub(crate) const NO: u8 = 1;
/// Exit code when the request makes no sense or its input cannot be read.
pub(crate) const USAGE: u8 = 2;
/// Exit code when the answer depends on a human.
pub(crate) const WAITS: u8 = 3;

/// A problem with what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Complaint {
    problem: String,
    hint: Option<String>,
    code: u8,
}

impl Complaint {
    /// The input cannot be used.
    pub(crate) fn usage(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: None, code: USAGE }
    }

    /// The input was used, and the answer is no.
    pub(crate) fn no(problem: impl Into<String>) -> Self {
        Self { code: NO, ..Self::usage(problem) }
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Splits what comes after the last semicolon off as the hint: messages of the lower layers
    /// name the problem first and then what to do.
    pub(crate) fn with_hint_of(mut self) -> Self {
        if let Some((problem, hint)) = self.problem.rsplit_once("; ") {
            self.hint = Some(hint.to_owned());
            self.problem = problem.to_owned();
        }
        self
    }
}

/// Prints why a command failed and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let complaint = error.downcast_ref::<Complaint>();
    let hint = complaint.and_then(|complaint| complaint.hint.as_ref());
    let hint = hint.map(|hint| format!("{}: {hint}\n", painted("hint", AnsiColor::Cyan)));
    let error = format!("{}: {error:#}\n", painted("error", AnsiColor::Red));
    let text = error + &hint.unwrap_or_default();
    // If standard error is closed, nobody can be told.
    let _ = anstream::stderr().write_all(text.as_bytes());
    ExitCode::from(complaint.map_or(USAGE, |complaint| complaint.code))
}

fn painted(word: &str, colour: AnsiColor) -> String {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    format!("{style}{word}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_split_off_the_last_clause() {
        let complaint = Complaint::usage("no rows; none at all; export again").with_hint_of();
        assert_eq!(complaint.problem, "no rows; none at all");
        assert_eq!(complaint.hint.as_deref(), Some("export again"));
        assert_eq!(Complaint::usage("no rows").with_hint_of().hint, None);
    }
}
