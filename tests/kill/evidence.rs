//! What is left when the worker is done: its books, what it acknowledged, and the journal.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use genie_core::ids::RunId;
use genie_core::journal::steps::Effect;
use genie_core::journal::{Entry, Record, lines, restore, verify};
use genie_core::outcome::Outcome;
use genie_store::{Location, Mode};

/// Everything that the outside and the journal know.
pub(crate) struct Evidence {
    /// The runs whose outcome somebody was told, with the words.
    pub(crate) acknowledged: Vec<(String, String)>,
    /// The keys of the payments, in the order in which they happened.
    pub(crate) once: Vec<String>,
    notes: Vec<String>,
    /// How many runs the journal has.
    pub(crate) runs: usize,
    /// How often a run was taken up.
    pub(crate) resumed: usize,
    /// How many effects were in doubt.
    pub(crate) doubts: usize,
    outcomes: HashMap<RunId, Vec<String>>,
    done: HashSet<String>,
    /// What was to be done.
    intended: HashSet<String>,
    /// Each chain as a file.
    journals: Vec<Vec<u8>>,
}

/// Has the program's auditor check the database as it is.
pub(crate) fn is_in_order(directory: &Path, database: Option<&str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genie"));
    command.args(["audit", "verify", "--sealing-key"]).arg(directory.join("sealing.key"));
    command.env("XDG_DATA_HOME", directory);
    command.env_remove("GENIE_DATABASE").env("GENIE_DATA", directory.join("data"));
    if let Some(url) = database {
        command.env("GENIE_DATABASE", url);
    }
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn lines_of(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn keys_of(file: &Path) -> Vec<String> {
    lines_of(file).iter().map(|line| line.split_once(' ').unwrap().0.to_owned()).collect()
}

impl Evidence {
    pub(crate) async fn gather(directory: &Path, database: Option<&str>) -> Self {
        let data = || Location::Sqlite(directory.join("data"));
        let place = database.map_or_else(data, |url| Location::Postgres(url.to_owned()));
        let key = genie_store::KeySource::File(directory.join("sealing.key"));
        let options = genie_store::Options { sealing: Some(key), ..Default::default() };
        let store = genie_store::open(&place, Mode::Look, options);
        let store = store.await.unwrap();
        let mut evidence = Self {
            acknowledged: lines_of(&directory.join("acknowledged"))
                .iter()
                .map(|line| line.split_once(' ').unwrap())
                .map(|(run, said)| (run.to_owned(), said.to_owned()))
                .collect(),
            once: keys_of(&directory.join("book.pay.book")),
            notes: keys_of(&directory.join("book.note.book")),
            runs: 0,
            resumed: 0,
            doubts: 0,
            outcomes: HashMap::new(),
            done: HashSet::new(),
            intended: HashSet::new(),
            journals: Vec::new(),
        };
        let chains = store.checkpoints.chains().await.unwrap();
        assert!(database.is_some() || chains.len() == 1, "one process has one chain: {chains:?}");
        for chain in chains {
            let (mut after, mut journal) = (0, Vec::new());
            loop {
                let rows = store.checkpoints.rows(chain.chain, after, 10_000).await.unwrap();
                let Some(last) = rows.last() else { break };
                after = last.seq;
                for record in restore::restore(rows).unwrap() {
                    lines::write(&record, &mut journal).unwrap();
                    evidence.read(&record);
                }
            }
            evidence.journals.push(journal);
        }
        store.close().await.unwrap();
        evidence
    }

    fn read(&mut self, record: &Record) {
        match &record.entry {
            Entry::RunStarted { .. } => self.runs += 1,
            Entry::RunResumed { .. } => self.resumed += 1,
            Entry::Effect { message_id, effect, .. } => match effect {
                Effect::Intent { .. } => {
                    self.intended.insert(message_id.to_string());
                }
                Effect::Unknown { .. } => self.doubts += 1,
                Effect::Done { .. } | Effect::Resolved { happened: true, .. } => {
                    self.done.insert(message_id.to_string());
                }
                _ => {}
            },
            Entry::Outcome { run_id, outcome, .. } => {
                let said = match &**outcome {
                    Outcome::Completed { answer_sha256, .. } => answer_sha256.to_string(),
                    other => format!("{other:?}").replace(' ', ""),
                };
                let said = format!("{} {said}", outcome.name());
                self.outcomes.entry(*run_id).or_default().push(said);
            }
            _ => {}
        }
    }

    pub(crate) fn is_sound(&self) {
        if let [journal] = self.journals.as_slice() {
            let report = verify::verify(journal.as_slice(), None).unwrap();
            assert_eq!(report.runs as usize, self.runs);
        }
        assert_eq!(self.outcomes.len(), self.runs, "a run has no outcome");
        for (run, outcomes) in &self.outcomes {
            assert_eq!(outcomes.len(), 1, "{run} ended {outcomes:?}");
            let outcome = &outcomes[0];
            let cancelled = outcome.starts_with("cancelled");
            assert!(cancelled || outcome.starts_with("completed"), "{run} ended {outcome}");
        }
        for (run, said) in &self.acknowledged {
            let run = RunId(run.parse().unwrap());
            assert_eq!(self.outcomes.get(&run), Some(&vec![said.clone()]), "{run} was told else");
        }
        self.is_paid_once();
        for key in self.once.iter().chain(&self.notes) {
            assert!(self.done.contains(key), "{key} happened and is not on record");
        }
    }

    fn is_paid_once(&self) {
        let paid: HashSet<&String> = self.once.iter().collect();
        assert_eq!(paid.len(), self.once.len(), "a payment happened twice");
    }

    /// As [`Self::is_sound`], where a run may also have failed since the database was away. Whoever
    /// was told so was told that nobody knows how it ended.
    pub(crate) fn is_sound_after_outages(&self) {
        for (run, outcomes) in &self.outcomes {
            assert_eq!(outcomes.len(), 1, "{run} ended {outcomes:?}");
            let known = ["completed ", "cancelled ", "failed Failed{cause:Journal"];
            let is_known = known.iter().any(|known| outcomes[0].starts_with(known));
            assert!(is_known, "{run} ended {}", outcomes[0]);
        }
        assert_eq!(self.outcomes.len(), self.runs, "a run has no outcome");
        for (run, said) in &self.acknowledged {
            let run = RunId(run.parse().unwrap());
            let is_on_record = self.outcomes.get(&run) == Some(&vec![said.clone()]);
            let is_unknown = said.starts_with("failed Failed{cause:Journal");
            assert!(is_on_record || is_unknown, "{run} was told {said}");
        }
        self.is_paid_once();
        for key in self.once.iter().chain(&self.notes) {
            assert!(self.intended.contains(key), "{key} happened without a record that it would");
        }
    }
}
