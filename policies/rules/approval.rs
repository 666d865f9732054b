//! What a rule says of the approval that it asks for: who, how many, until when.

use std::sync::Arc;
use std::time::Duration;

use genie_core::policy::Requirement;
use toml::{Spanned, Value};

use super::parse::Report;

/// Most people whom one rule can ask for.
const QUORUM_MAX: u32 = 100;
/// Longest time that a decision may take: a leap year.
const EXPIRES_MAX: Duration = Duration::from_hours(366 * 24);

/// The keys that go with the decision `require_approval`, all optional.
pub(super) struct ApprovalText {
    pub(super) approver_role: Option<Spanned<Value>>,
    pub(super) quorum: Option<Spanned<Value>>,
    pub(super) expires: Option<Spanned<Value>>,
    pub(super) requester_may_approve: Option<Spanned<Value>>,
}

/// The names of the keys.
const KEYS: [&str; 4] = ["approver_role", "quorum", "expires", "requester_may_approve"];

impl ApprovalText {
    /// The keys that are given, with their places.
    fn given(&self) -> impl Iterator<Item = (&'static str, &Spanned<Value>)> {
        let values =
            [&self.approver_role, &self.quorum, &self.expires, &self.requester_may_approve];
        KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }

    /// Reports every key: the decision is another one.
    pub(super) fn refuse(&self, report: &mut Report<'_>) {
        for (key, value) in self.given() {
            let message = format!("`{key}` goes with the decision `require_approval` only");
            report.add(value.span().start, message, None);
        }
    }

    /// What the approval needs; the defaults of the kernel where a key is not given.
    pub(super) fn requirement(&self, report: &mut Report<'_>) -> Requirement {
        let mut requirement = Requirement::default();
        for (key, value) in self.given() {
            if let Err(hint) = take(&mut requirement, key, value.get_ref()) {
                let said = value.get_ref().to_string();
                let message = format!("`{key}` cannot be `{}`", said.trim_matches('"'));
                report.add(value.span().start, message, Some(hint));
            }
        }
        requirement
    }
}

/// Takes one key over, or says what it may be.
fn take(requirement: &mut Requirement, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "approver_role" => {
            let role = value.as_str().filter(|role| is_role(role));
            let hint = "name a role with a-z, 0-9, `-`, `_`, `.` or `:`, such as \"treasurer\"";
            requirement.role = role.map(Arc::from).ok_or(hint)?;
        }
        "quorum" => {
            let quorum = value.as_integer().and_then(|quorum| u32::try_from(quorum).ok());
            let quorum = quorum.filter(|quorum| (1..=QUORUM_MAX).contains(quorum));
            let hint = || format!("it is a whole number from 1 to {QUORUM_MAX}");
            requirement.quorum = quorum.ok_or_else(hint)?;
        }
        "expires" => {
            let expires = value.as_str().and_then(duration);
            let hint = "write a whole number and s, m, h or d, up to a year, such as \"24h\"";
            let millis = u64::try_from(expires.ok_or(hint)?.as_millis());
            requirement.expires_ms = millis.map_err(|_| hint)?;
        }
        _ => requirement.requester_may = value.as_bool().ok_or("it is `true` or `false`")?,
    }
    Ok(())
}

fn is_role(role: &str) -> bool {
    let part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':');
    !role.is_empty() && role.bytes().all(part)
}

/// Reads `90s`, `30m`, `24h` or `3d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (number, "s") => (number, 1),
        (number, "m") => (number, 60),
        (number, "h") => (number, 3_600),
        (number, "d") => (number, 86_400),
        _ => return None,
    };
    // A sign would be read as part of the number.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(seconds)?;
    let duration = Duration::from_secs(seconds);
    (!duration.is_zero() && duration <= EXPIRES_MAX).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_and_a_unit_within_a_year() {
        for (text, seconds) in [("1s", 1), ("30m", 1_800), ("24h", 86_400), ("366d", 31_622_400)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "24", "1.5h", "-1h", "+1h", "0h", "367d", "24 h", "1w", "९h", "h१"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
