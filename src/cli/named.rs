//! Runs and approvals as users name them: by an id or the beginning of it.

use genie_core::approval::Approval;
use genie_core::runs::Summary;
use uuid::Uuid;

use super::complaint::Complaint;

/// Fewest characters by which a run or an approval can be named.
const PREFIX_LEN_MIN: usize = 6;
/// What helps whoever names a run that is not there.
pub(crate) const RUNS: &str = "`genie runs list` shows the runs that there are";
/// What helps whoever names an approval that is not there.
pub(crate) const APPROVALS: &str =
    "`genie approvals list --all` shows the approvals that there are";

/// The digits of an id that a name begins.
///
/// # Errors
/// A name that begins no id, or is too short.
pub(crate) fn check(name: &str, hint: &str) -> Result<String, Complaint> {
    let digits = name.replace('-', "").to_ascii_lowercase();
    if digits.len() < PREFIX_LEN_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let problem = format!("`{name}` is no id, nor {PREFIX_LEN_MIN} characters of one");
        return Err(Complaint::usage(problem).hint(hint));
    }
    Ok(digits)
}

/// The one run of these that is named so.
pub(crate) fn run(name: &str, runs: Vec<Summary>) -> anyhow::Result<Summary> {
    let matching = matching(name, runs, |run| run.run_id.0, RUNS)?;
    one(matching, &format!("run `{name}`"), RUNS)
}

/// The one approval of these that is named so.
pub(crate) fn approval(name: &str, approvals: Vec<Approval>) -> anyhow::Result<Approval> {
    let matching = matching(name, approvals, |approval| approval.id.0, APPROVALS)?;
    one(matching, &format!("approval `{name}`"), APPROVALS)
}

fn matching<T>(
    name: &str,
    all: Vec<T>,
    id: impl Fn(&T) -> Uuid,
    hint: &str,
) -> Result<Vec<T>, Complaint> {
    let digits = check(name, hint)?;
    let begins = |one: &T| id(one).simple().to_string().starts_with(&digits);
    Ok(all.into_iter().filter(begins).collect())
}

fn one<T>(mut found: Vec<T>, what: &str, hint: &str) -> anyhow::Result<T> {
    let count = found.len();
    match found.pop() {
        Some(only) if count == 1 => Ok(only),
        Some(_) => {
            let problem = format!("{count} ids begin like {what}");
            Err(Complaint::usage(problem).hint("give more characters of it").into())
        }
        None => Err(Complaint::usage(format!("there is no {what}")).hint(hint).into()),
    }
}
