//! `payment.transfer`: pays somebody, at a bank that is a file.
//!
//! The file stands for a world that nobody can roll back and that anyone can look at: one line of
//! JSON for each transfer, on the disk before the tool answers. There are two such banks, as there
//! are outside: one books every order that it gets, the other books each idempotency key once.

use std::fs::{File, OpenOptions};
use std::future::pending;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use genie_core::async_trait;
use genie_core::ids::RunId;
use genie_core::label::Classification;
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The tool of a bank that books every order.
const ONCE: &str = "payment.transfer";
/// The tool of a bank that books each idempotency key once.
const KEYED: &str = "payment.transfer_keyed";

/// How the bank behaves once it has booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bank {
    /// It answers.
    #[default]
    Answers,
    /// It books and never answers, so that a process can be stopped in between.
    FallsSilent,
}

/// What to pay.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Transfer {
    /// Who gets it.
    #[schemars(length(min = 1, max = 200))]
    payee: String,
    /// How much, in paise.
    #[schemars(range(min = 1))]
    amount_minor: i64,
    /// What for.
    #[schemars(length(max = 200))]
    reason: String,
}

/// A line of the ledger.
#[derive(Debug, Serialize, Deserialize)]
struct Booked {
    /// The idempotency key of the order.
    reference: String,
    run_id: RunId,
    currency: String,
    #[serde(flatten)]
    transfer: Transfer,
}

/// Pays in rupees, at a bank that is a file.
#[derive(Debug)]
pub struct PaymentTransfer {
    ledger: PathBuf,
    effects: Effects,
    bank: Bank,
}

impl PaymentTransfer {
    /// `payment.transfer`: the bank books every order, so that a repetition pays twice. `ledger` is
    /// created with the first transfer.
    #[must_use]
    pub fn once(ledger: &Path, bank: Bank) -> Self {
        Self { ledger: ledger.to_owned(), effects: Effects::Once, bank }
    }

    /// `payment.transfer_keyed`: the bank books each idempotency key once.
    #[must_use]
    pub fn keyed(ledger: &Path, bank: Bank) -> Self {
        Self { effects: Effects::Idempotent, ..Self::once(ledger, bank) }
    }
}

#[async_trait]
impl Tool for PaymentTransfer {
    fn spec(&self) -> ToolSpec {
        let (name, description) = match self.effects {
            Effects::Idempotent => (KEYED, "pays somebody; the bank books each key once"),
            Effects::Once | Effects::None => (ONCE, "pays somebody; the bank books every order"),
        };
        ToolSpec::new::<Transfer>(name, description)
            .effects(self.effects)
            .cleared_for(Classification::Confidential)
            .requires_scope("payment:request")
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let booked = Booked {
            reference: attempt.idempotency_key.to_owned(),
            run_id: attempt.run_id,
            currency: "INR".to_owned(),
            transfer: attempt.read()?,
        };
        let (ledger, each_key_once) = (self.ledger.clone(), self.effects == Effects::Idempotent);
        let done = tokio::task::spawn_blocking(move || book(&ledger, &booked, each_key_once));
        let output = done.await.map_err(|error| ToolError::Unknown(error.to_string()))??;
        match self.bank {
            Bank::Answers => Ok(output),
            Bank::FallsSilent => pending().await,
        }
    }
}

/// Adds a line to the ledger, unless its key stands there already and the bank looks.
fn book(ledger: &Path, booked: &Booked, each_key_once: bool) -> Result<Value, ToolError> {
    let not_yet = |error: io::Error| ToolError::Failed(format!("`{}`: {error}", ledger.display()));
    let perhaps = |error: io::Error| ToolError::Unknown(format!("`{}`: {error}", ledger.display()));
    let mut file = open(ledger).map_err(not_yet)?;
    // One order at a time, whichever process it comes from; closing the file ends it.
    file.lock().map_err(not_yet)?;
    let known = each_key_once && has(&file, &booked.reference).map_err(not_yet)?;
    if !known {
        let line = serde_json::to_string(booked);
        let line = line.map_err(|error| ToolError::Failed(error.to_string()))?;
        // Whoever was stopped in the middle of a line has booked nothing.
        let gap = if ends_a_line(&mut file).map_err(not_yet)? { "" } else { "\n" };
        file.write_all(format!("{gap}{line}\n").as_bytes()).map_err(perhaps)?;
        file.sync_all().map_err(perhaps)?;
    }
    Ok(json!({ "reference": booked.reference, "booked_before": known }))
}

fn open(ledger: &Path) -> io::Result<File> {
    if let Some(directory) = ledger.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(ledger)
}

/// Whether a whole line has this reference.
fn has(ledger: &File, reference: &str) -> io::Result<bool> {
    for line in BufReader::new(ledger).lines() {
        let booked = serde_json::from_str::<Booked>(&line?);
        if booked.is_ok_and(|booked| booked.reference == reference) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ends_a_line(ledger: &mut File) -> io::Result<bool> {
    if ledger.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    ledger.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    ledger.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn arguments() -> Value {
        json!({ "payee": "Asha Traders", "amount_minor": 250_000, "reason": "invoice 17" })
    }

    async fn pay(tool: &PaymentTransfer, key: &str) -> Result<Value, ToolError> {
        let arguments = arguments();
        let run_id = RunId(uuid::Uuid::nil());
        tool.call(Attempt {
            arguments: &arguments,
            idempotency_key: key,
            run_id,
            tenant: &crate::trial::acme(),
            subject: "asha",
        })
        .await
    }

    fn lines(ledger: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(ledger).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[tokio::test]
    async fn a_bank_that_knows_no_keys_books_every_order() {
        let place = tempfile::tempdir().unwrap();
        let ledger = place.path().join("new").join("payments.jsonl");
        let tool = PaymentTransfer::once(&ledger, Bank::Answers);
        for _ in 0..2 {
            assert_eq!(pay(&tool, "one").await.unwrap()["booked_before"], false);
        }
        let lines = lines(&ledger);
        assert_eq!(lines.len(), 2);
        let run_id = uuid::Uuid::nil().to_string();
        assert_eq!(
            lines[0],
            json!({
                "reference": "one", "run_id": run_id, "currency": "INR",
                "payee": "Asha Traders", "amount_minor": 250_000, "reason": "invoice 17",
            })
        );
    }

    #[tokio::test]
    async fn a_bank_that_knows_keys_books_each_once() {
        let place = tempfile::tempdir().unwrap();
        let ledger = place.path().join("payments.jsonl");
        let tool = PaymentTransfer::keyed(&ledger, Bank::Answers);
        let booked = [pay(&tool, "one").await, pay(&tool, "two").await, pay(&tool, "one").await];
        let before = booked.map(|output| output.unwrap()["booked_before"].as_bool().unwrap());
        assert_eq!(before, [false, false, true]);
        assert_eq!(lines(&ledger).len(), 2);
    }

    #[tokio::test]
    async fn half_a_line_is_no_booking_and_does_not_spoil_the_next() {
        let place = tempfile::tempdir().unwrap();
        let ledger = place.path().join("payments.jsonl");
        std::fs::write(&ledger, "{\"reference\":\"one\",\"run").unwrap();
        let tool = PaymentTransfer::keyed(&ledger, Bank::Answers);
        assert_eq!(pay(&tool, "one").await.unwrap()["booked_before"], false);
        assert_eq!(lines(&ledger).len(), 1);
    }

    #[tokio::test]
    async fn a_ledger_that_cannot_be_opened_has_booked_nothing_for_certain() {
        let place = tempfile::tempdir().unwrap();
        let tool = PaymentTransfer::once(place.path(), Bank::Answers);
        assert!(matches!(pay(&tool, "one").await, Err(ToolError::Failed(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_silent_bank_has_booked() {
        let place = tempfile::tempdir().unwrap();
        let ledger = place.path().join("payments.jsonl");
        let tool = PaymentTransfer::once(&ledger, Bank::FallsSilent);
        let answer = tokio::time::timeout(Duration::from_secs(1), pay(&tool, "one")).await;
        assert!(answer.is_err());
        assert_eq!(lines(&ledger).len(), 1);
    }
}
