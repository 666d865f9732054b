//! Receipts: a proof on a page of text of how a run ended, to be checked without the log.
//!
//! The form is that of C2SP tlog-proof (<https://c2sp.org/tlog-proof>). Its `extra` holds the lines
//! of the journal file with the run's last two records, the outcome and the end record; the proof
//! is that of the end record, whose `prev_hash` is the hash of the outcome's.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra BASE64
//! index 1041
//! BASE64, a line for each hash of the inclusion proof
//!
//! the signed checkpoint
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checkpoint::{self, Checkpoint};
use super::encoding::{base64, decimal, from_base64, hash_from_base64};
use super::keys::VerifierKey;
use super::merkle::{self, leaf, verify_inclusion};
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::journal::chain::{Hash, seal};
use crate::journal::lines;
use crate::journal::record::{Entry, Record};
use crate::outcome::Outcome;

/// Most bytes of a receipt. One of a completed run has 2 to 4 KiB; the reason of a failure may be
/// longer.
pub const BYTES_MAX: usize = 1 << 20;

/// The first line, which names the format.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is too long.
    #[error("the receipt has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not written as a receipt is.
    #[error("not a receipt: {problem}; take it again, byte for byte")]
    Malformed {
        /// In what it differs, in a clause.
        problem: &'static str,
    },
    /// A record cannot be read or written.
    #[error("record {place} of the receipt is not one of the journal: {source}")]
    Record {
        /// Which of its two records, from 1.
        place: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The content of the records was altered, or they do not belong together.
    #[error("the receipt does not prove the end of a run: {problem}")]
    Altered {
        /// What does not fit, in a clause.
        problem: &'static str,
    },
    /// The checkpoint cannot be trusted.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The end record is not in the tree of the checkpoint.
    #[error("the run's end is not in the log that was signed: {0}")]
    Inclusion(#[from] merkle::Error),
}

/// What a receipt proves: the log signed that the run ended so, and how much was recorded of it.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The log.
    pub origin: String,
    /// How many records the log had when it signed.
    pub size: u64,
    /// The number of the end record in the log.
    pub seq: u64,
    /// The run.
    pub run_id: RunId,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended; a completed run's names the SHA-256 of the answer.
    #[serde(flatten)]
    pub outcome: std::sync::Arc<Outcome>,
    /// How many records the run has, its end record included.
    pub records: u64,
    /// How many of them are messages.
    pub messages: u64,
    /// How long it took.
    pub duration_us: u64,
}

/// A receipt, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The two lines of the journal file.
    records: String,
    index: u64,
    proof: Vec<Hash>,
    checkpoint: String,
}

/// Checks the text of a receipt against the verifier keys that the reader trusts.
///
/// # Errors
/// Any [`Error`]; nothing that the receipt says is then proven.
pub fn check(text: &str, trusted: &[VerifierKey]) -> Result<Checked, Error> {
    Receipt::parse(text)?.check(trusted)
}

impl Receipt {
    /// The receipt of the run whose last two records these are, the outcome and the end, in that
    /// order; `proof` is the inclusion proof of leaf `seq - 1` of the end in the checkpoint's tree.
    ///
    /// # Errors
    /// [`Error::Record`] if one has no JSON form. Whether all fits is seen by [`Self::check`].
    pub fn new(ending: [&Record; 2], proof: Vec<Hash>, checkpoint: String) -> Result<Self, Error> {
        let mut records = String::new();
        for (place, record) in (1..).zip(ending) {
            let body = record.text().and_then(|text| RawValue::from_string(text.into_owned()));
            let body = body.map_err(|source| Error::Record { place, source })?;
            records.push_str(&lines::render(record.seq, record.prev_hash, record.hash, &body));
            records.push('\n');
        }
        let index = ending[1].seq.saturating_sub(1);
        Ok(Self { records, index, proof, checkpoint })
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { records, index, proof, checkpoint } = self;
        let mut text = format!("{FORMAT}\nextra {}\nindex {index}\n", base64(records.as_bytes()));
        for hash in proof {
            text.push_str(&base64(&hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(checkpoint);
        text
    }

    /// Reads the text form; nothing is checked yet but its spelling.
    ///
    /// # Errors
    /// [`Error::TooLong`] or [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(malformed("no checkpoint ends it"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(malformed("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let records = lines.next().and_then(|line| from_base64(line.strip_prefix("extra ")?));
        let records = records.and_then(|bytes| String::from_utf8(bytes).ok());
        let records = records.ok_or(malformed("its second line does not carry records"))?;
        let index = lines.next().and_then(|line| decimal(line.strip_prefix("index ")?));
        let index = index.ok_or(malformed("its third line is not its index"))?;
        let proof: Option<Vec<Hash>> = lines.map(hash_from_base64).collect();
        let proof = proof.ok_or(malformed("a line of its proof is not a hash"))?;
        Ok(Self { records, index, proof, checkpoint: checkpoint.to_owned() })
    }

    /// Recomputes every hash from the records up to the signed root.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn check(&self, trusted: &[VerifierKey]) -> Result<Checked, Error> {
        let checkpoint = Checkpoint::open(&self.checkpoint, trusted)?;
        let lines = self.records.strip_suffix('\n').and_then(|lines| lines.split_once('\n'));
        let (outcome, end) = lines.ok_or(altered("it does not carry two records"))?;
        let (outcome, end) = (Sealed::read(outcome, 1)?, Sealed::read(end, 2)?);
        if end.prev_hash != outcome.hash || end.seq.checked_sub(1) != Some(outcome.seq) {
            return Err(altered("its second record does not follow the first"));
        }
        if self.index != outcome.seq {
            return Err(altered("its index is not that of the end record"));
        }
        verify_inclusion(leaf(&end.hash.0), self.index, &self.proof, checkpoint.tree)?;
        let Entry::Outcome { run_id, outcome, .. } = outcome.entry else {
            return Err(altered("its first record is not an outcome"));
        };
        match end.entry {
            Entry::RunEnd { run_id: ended, at, records, messages, duration_us }
                if ended == run_id =>
            {
                let Checkpoint { origin, tree, .. } = checkpoint;
                let (size, seq) = (tree.size, end.seq);
                Ok(Checked {
                    origin,
                    size,
                    seq,
                    run_id,
                    at,
                    outcome,
                    records,
                    messages,
                    duration_us,
                })
            }
            _ => Err(altered("its second record is not the end of the run")),
        }
    }
}

/// A record as its line has it, with the hash that was recomputed.
struct Sealed {
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    entry: Entry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Sealed {
    fn read(text: &str, place: usize) -> Result<Self, Error> {
        let unreadable = |source| Error::Record { place, source };
        let Line { seq, prev_hash, hash, body } = serde_json::from_str(text).map_err(unreadable)?;
        if lines::render(seq, prev_hash, hash, body) != text {
            return Err(altered("a record is not written as the journal writes it"));
        }
        if seal(seq, prev_hash, Hash::of(body.get().as_bytes())) != hash {
            return Err(altered("the content of a record does not give its hash"));
        }
        let entry = serde_json::from_str(body.get()).map_err(unreadable)?;
        Ok(Self { seq, prev_hash, hash, entry })
    }
}

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { problem }
}

fn altered(problem: &'static str) -> Error {
    Error::Altered { problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::SignerKey;
    use super::super::merkle::{Tree, TreeHead};
    use super::super::tiles::inclusion_proof;
    use super::*;

    /// Made with Python's `cryptography`, hashlib and base64 from a chain of five records.
    const EXAMPLE: &str = include_str!("example.tlog-proof");
    const VERIFIER: &str =
        "genie.example.com/log+482e2ed7+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const ORIGIN: &str = "genie.example.com/log";
    const RUN: &str = "018bcfe5-6800-7000-8000-000000000001";

    fn trusted() -> [VerifierKey; 1] {
        [VERIFIER.parse().unwrap()]
    }

    fn signer() -> SignerKey {
        let seed = std::array::from_fn(|at| u8::try_from(at).unwrap());
        SignerKey::from_seed(ORIGIN, &seed).unwrap()
    }

    /// A log of records with these bodies, the receipt of whose records `at` and `at + 1` is asked
    /// for; `forge` may change the receipt's lines before they are put in.
    fn receipt_of(bodies: &[String], at: usize, forge: impl Fn(Vec<String>) -> String) -> Receipt {
        let (mut lines, mut leaves) = (Vec::new(), Vec::new());
        let (mut tree, mut prev_hash) = (Tree::default(), Hash::ZERO);
        for (seq, body) in (1..).zip(bodies) {
            let hash = seal(seq, prev_hash, Hash::of(body.as_bytes()));
            let raw = RawValue::from_string(body.clone()).unwrap();
            lines.push(lines::render(seq, prev_hash, hash, &raw));
            leaves.push(leaf(&hash.0));
            assert!(tree.append(leaf(&hash.0)).is_empty(), "one tile is enough here");
            prev_hash = hash;
        }
        let index = at as u64 + 1;
        let proof = inclusion_proof(index, tree.head().size, |id| {
            tree.incomplete().find(|tile| tile.id == id).map(|tile| tile.hashes)
        });
        let checkpoint = Checkpoint { origin: ORIGIN.into(), tree: tree.head(), head: None };
        let checkpoint = checkpoint.sign(&[&signer()]).unwrap();
        let records = forge(lines[at..at + 2].to_vec());
        Receipt { records, index, proof: proof.unwrap(), checkpoint }
    }

    fn as_is(lines: Vec<String>) -> String {
        lines.into_iter().map(|line| line + "\n").collect()
    }

    fn outcome(rest: &str) -> String {
        let at = "2023-11-14T22:13:20.000000Z";
        format!("{{\"type\":\"outcome\",\"run_id\":\"{RUN}\",\"at\":\"{at}\",{rest}}}")
    }

    fn end(run: &str) -> String {
        format!(
            "{{\"type\":\"run_end\",\"run_id\":\"{run}\",\"at\":\"2023-11-14T22:13:20.000000Z\",\
             \"records\":4,\"messages\":1,\"duration_us\":1234}}"
        )
    }

    fn cancelled() -> String {
        outcome("\"outcome\":\"cancelled\",\"reason\":\"by its user\"")
    }

    #[test]
    fn a_receipt_made_elsewhere_proves_the_outcome_and_the_answer() {
        let checked = check(EXAMPLE, &trusted()).unwrap();
        let json = serde_json::to_value(&checked).unwrap();
        // `printf '"42"' | sha256sum`
        let answer = "8334c554c7276f59674810b92fff5197cd46bf6ccbe872742f9b04ca31dfe3d1";
        let expected = serde_json::json!({
            "origin": ORIGIN, "size": 5, "seq": 4, "run_id": RUN,
            "at": "2023-11-14T22:13:20.000000Z", "outcome": "completed", "kind": "chat.answer",
            "answer_sha256": answer, "records": 4, "messages": 1, "duration_us": 1234,
        });
        assert_eq!(json, expected);
        assert_eq!(Receipt::parse(EXAMPLE).unwrap().to_text(), EXAMPLE);
    }

    #[test]
    fn a_receipt_is_made_of_records_as_they_are_stored() {
        let records = from_base64(&EXAMPLE.lines().nth(1).unwrap()["extra ".len()..]).unwrap();
        let records: Vec<Record> = std::str::from_utf8(&records)
            .unwrap()
            .lines()
            .map(|text| {
                let line: Line<'_> = serde_json::from_str(text).unwrap();
                let entry = serde_json::from_str(line.body.get()).unwrap();
                let Line { seq, prev_hash, hash, .. } = line;
                Record { seq, prev_hash, hash, number: seq, entry, text: None }
            })
            .collect();
        let Receipt { proof, checkpoint, .. } = Receipt::parse(EXAMPLE).unwrap();
        let made = Receipt::new([&records[0], &records[1]], proof, checkpoint).unwrap();
        assert_eq!(made.to_text(), EXAMPLE);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let trusted = trusted();
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert!(check(text, &trusted).is_err(), "bit {bit}: {text}");
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_is_cut_off_doubled_moved_or_added_is_noticed() {
        let trusted = trusted();
        let refused = |text: &str| assert!(check(text, &trusted).is_err(), "{text:?}");
        for length in (0..EXAMPLE.len()).filter(|length| EXAMPLE.is_char_boundary(*length)) {
            refused(&EXAMPLE[..length]);
        }
        let lines: Vec<&str> = EXAMPLE.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let (before, from) = lines.split_at(at);
            refused(&[before, &from[1..]].concat().concat());
            refused(&[before, &["\n"], from].concat().concat());
            refused(&[before, &[" "], from].concat().concat());
            refused(&[before, &[from[0].trim_end(), "\r\n"], &from[1..]].concat().concat());
            for other in at + 1..lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, other);
                if swapped != lines {
                    refused(&swapped.concat());
                }
            }
            // A signature twice says nothing else than once.
            if at + 1 < lines.len() {
                refused(&[before, &from[..1], from].concat().concat());
            }
        }
        refused(&format!("{EXAMPLE}\n"));
        refused(&format!("\u{feff}{EXAMPLE}"));
        refused(&EXAMPLE.replace("index 3", "index 03"));
        refused(&EXAMPLE.replace("index 3", "index +3"));
        refused(&EXAMPLE.replace("extra ", "extra  "));
        assert!(matches!(check(&"a".repeat(BYTES_MAX + 1), &trusted), Err(Error::TooLong { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn changed_bytes_are_noticed(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), 1_u8..), 1..4),
        ) {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            for (at, change) in changes {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
            }
            prop_assume!(bytes != EXAMPLE.as_bytes());
            if let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert!(check(text, &trusted()).is_err());
            }
        }

        #[test]
        fn no_text_makes_the_check_panic(text in "\\PC*", proof in "[a-zA-Z0-9+/=\n ]*") {
            prop_assert!(check(&text, &trusted()).is_err());
            let text = format!("{FORMAT}\nextra e30=\nindex 0\n{proof}\n\n{text}");
            prop_assert!(check(&text, &trusted()).is_err());
        }
    }

    #[test]
    fn a_receipt_for_any_ending_checks() {
        for (rest, name) in [
            ("\"outcome\":\"cancelled\",\"reason\":\"by its user\"", "cancelled"),
            ("\"outcome\":\"expired\",\"deadline_ms\":60000", "expired"),
            (
                "\"outcome\":\"denied\",\"policy\":\"p\",\"policy_version\":\"1\",\"reason\":\"r\"",
                "denied",
            ),
            ("\"outcome\":\"failed\",\"cause\":{\"code\":\"no_recipient\",\"to\":\"x\"}", "failed"),
        ] {
            let bodies = ["{}".to_owned(), outcome(rest), end(RUN), "{}".to_owned()];
            let receipt = receipt_of(&bodies, 1, as_is);
            let checked = check(&receipt.to_text(), &trusted()).unwrap();
            assert_eq!((checked.outcome.name(), checked.seq, checked.size), (name, 3, 4));
        }
        let receipt = receipt_of(&[cancelled(), end(RUN)], 0, as_is);
        assert!(check(&receipt.to_text(), &trusted()).is_ok());
    }

    /// Each is in the log as it stands, so only the receipt's own rules can refuse it.
    #[test]
    fn records_that_are_no_end_of_a_run_prove_nothing() {
        let other = RUN.replace("0001", "0002");
        for bodies in [
            [cancelled(), end(&other)],
            [end(RUN), cancelled()],
            [cancelled(), cancelled()],
            [end(RUN), end(RUN)],
            ["{}".to_owned(), end(RUN)],
            [cancelled(), "{\"type\":\"unheard_of\"}".to_owned()],
        ] {
            let receipt = receipt_of(&bodies, 0, as_is);
            assert!(check(&receipt.to_text(), &trusted()).is_err(), "{bodies:?}");
        }
    }

    #[test]
    fn lines_that_are_not_those_of_the_log_prove_nothing() {
        let bodies = ["{}".to_owned(), cancelled(), end(RUN)];
        let forgeries: [fn(Vec<String>) -> String; 9] = [
            |lines| as_is(lines).replace("by its user", "by its maker"),
            |lines| as_is(lines).replace("\"records\":4", "\"records\":5"),
            |lines| as_is(lines).replace("{\"seq\":2,", "{\"seq\":2, "),
            |lines| as_is(lines).replace("{\"seq\":3,", "{\"seq\":2,"),
            |lines| as_is(lines).trim_end().to_owned(),
            |lines| as_is(lines[1..].to_vec()),
            |lines| as_is(lines.into_iter().rev().collect()),
            |lines| as_is(lines.clone()) + &as_is(lines),
            // An outcome that is sealed correctly, but that the end record does not follow.
            |lines| {
                let body = outcome("\"outcome\":\"cancelled\",\"reason\":\"forged\"");
                let hash = seal(2, Hash::ZERO, Hash::of(body.as_bytes()));
                let raw = RawValue::from_string(body).unwrap();
                as_is(vec![lines::render(2, Hash::ZERO, hash, &raw), lines[1].clone()])
            },
        ];
        for (number, forge) in forgeries.into_iter().enumerate() {
            let receipt = receipt_of(&bodies, 1, forge);
            assert!(check(&receipt.to_text(), &trusted()).is_err(), "forgery {number}");
        }
        assert!(check(&receipt_of(&bodies, 1, as_is).to_text(), &trusted()).is_ok());
    }

    /// The end of a chain that starts over at another number would not be leaf `seq - 1`.
    #[test]
    fn a_record_out_of_its_place_proves_nothing() {
        let mut receipt = receipt_of(&[cancelled(), end(RUN)], 0, as_is);
        for index in [0, 2, u64::MAX] {
            receipt.index = index;
            assert!(check(&receipt.to_text(), &trusted()).is_err());
        }
    }

    #[test]
    fn a_receipt_stays_within_4_kib_in_a_log_of_a_billion_runs() {
        let mut receipt = Receipt::parse(EXAMPLE).unwrap();
        receipt.proof = vec![Hash::of(b""); 40];
        receipt.index = (1 << 40) - 1;
        let tree = TreeHead { size: 1 << 40, root: Hash::of(b"") };
        let head = Some(crate::journal::chain::Head { seq: 1 << 40, hash: Hash::of(b"") });
        let checkpoint = Checkpoint { origin: ORIGIN.into(), tree, head };
        receipt.checkpoint = checkpoint.sign(&[&signer(), &signer()]).unwrap();
        let bytes = receipt.to_text().len();
        assert!(bytes <= 4_096, "{bytes} bytes");
    }

    #[test]
    fn a_receipt_of_another_log_or_under_another_key_proves_nothing() {
        let other = SignerKey::from_seed(ORIGIN, &[9; 32]).unwrap();
        let untrusted = check(EXAMPLE, std::slice::from_ref(other.verifier()));
        assert!(matches!(untrusted, Err(Error::Checkpoint(_))));
        let mut receipt = Receipt::parse(EXAMPLE).unwrap();
        let tree = TreeHead { size: 5, root: Hash::of(b"another tree") };
        let checkpoint = Checkpoint { origin: ORIGIN.into(), tree, head: None };
        receipt.checkpoint = checkpoint.sign(&[&signer()]).unwrap();
        let refused = check(&receipt.to_text(), &trusted());
        assert!(matches!(refused, Err(Error::Inclusion(merkle::Error::Root))));
    }
}
