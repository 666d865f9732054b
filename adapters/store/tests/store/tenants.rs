//! Several tenants over one store: whatever one of them does to whatever ids, nobody else's things
//! are seen, changed or counted.
//!
//! Sequences of writes are drawn from a seed, over ids that all of them use. Which methods of the
//! ports are tried is compared with the ports themselves, so that a new one cannot be left out.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::path::Path;
use std::sync::Arc;

use genie_core::Tenant;
use genie_core::approval::{ApprovalId, Approvals, Filter, MemoryApprovals};
use genie_core::attempts::{Attempt, Attempts, MemoryAttempts};
use genie_core::blob::{Blobs, MemoryBlobs, Scope};
use genie_core::budget::{BudgetId, Budgets, Charge, MemoryBudgets};
use genie_core::document::{self, DocumentId, Documents, MemoryDocuments};
use genie_core::identity::accounts::{Account, Accounts, Session, SessionId};
use genie_core::identity::{self, Keys, MemoryAccounts, MemoryKeys};
use genie_core::ids::{Ids, RunId, SeededIds};
use genie_core::journal::Journal;
use genie_core::journal::memory::MemoryJournal;
use genie_core::principal::Identity;
use genie_core::runs::{self, MemoryRuns, Runs};
use uuid::Uuid;

use crate::accounts::{account, session};
use crate::approvals::{approval, decided};
use crate::attempts::attempt;
use crate::blobs::{content, internal, scope};
use crate::documents::document;
use crate::identity::key;
use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, at, ended, run, started, tenant, waiting};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// Ids of each sort, which all tenants use.
const IDS: u32 = 3;
/// Writes of a sequence.
const STEPS: usize = 60;

/// What is looked up for a tenant.
const READS: [&str; 10] = [
    "Approvals::get",
    "Approvals::list",
    "Blobs::get",
    "Budgets::cost",
    "Budgets::get",
    "Documents::get",
    "Documents::list",
    "Keys::list",
    "Runs::get",
    "Runs::list",
];
/// What is done for a tenant.
const WRITES: [&str; 17] = [
    "Accounts::change",
    "Accounts::end",
    "Accounts::end_all",
    "Accounts::open",
    "Accounts::renew",
    "Approvals::put",
    "Approvals::swap",
    "Attempts::begin",
    "Attempts::swap",
    "Blobs::put",
    "Budgets::allot",
    "Budgets::reserve",
    "Documents::delete",
    "Documents::put",
    "Keys::put",
    "Keys::revoke",
    "Runs::ask_to_cancel",
];
/// What takes a tenant, and is tried through the front door: *edge*
/// `what_is_of_another_tenant_is_not_there_on_any_route`.
const ELSEWHERE: [&str; 1] = ["Receipts::receipt"];
/// What is about all tenants, port by port, and why.
const ACROSS: [(&str, &[&str], &str); 10] = [
    (
        "Accounts",
        &["account", "claimed", "create", "forget", "session"],
        "of which tenant somebody is, is known once a password or token has proven it",
    ),
    ("Approvals", &["of_ended_runs"], "the kernel withdraws what ended runs have asked"),
    ("Attempts", &["forget"], "what is over is forgotten, whoever's it was"),
    ("Blobs", &["release"], "only memory is let go of, when a run is parked or has ended"),
    ("Budgets", &["close", "open_runs", "settle"], "the kernel settles what runs have reserved"),
    ("Evidence", &["checkpoints", "keys", "verify"], "a log is of all tenants; for operators"),
    (
        "Journal",
        &[
            "append",
            "chain",
            "durable",
            "has_room",
            "head",
            "is_durable",
            "next_chain",
            "read",
            "read_chain",
            "read_run",
            "room",
        ],
        "one chain has the records of all tenants; the kernel reads a tenant's from it",
    ),
    ("KeyRing", &["claimed", "has_admin"], "only the secret of a key proves its tenant"),
    ("Paces", &["missed", "outage", "take"], "requests are counted by names, and nothing is kept"),
    (
        "Runs",
        &[
            "claim",
            "claim_run",
            "next_due",
            "parked",
            "poll_every",
            "progress",
            "release",
            "to_cancel",
        ],
        "a process works on the runs of all tenants",
    ),
];

/// One store, and what was begun in it.
struct World {
    accounts: Arc<dyn Accounts>,
    approvals: Arc<dyn Approvals>,
    attempts: Arc<dyn Attempts>,
    blobs: Arc<dyn Blobs>,
    budgets: Arc<dyn Budgets>,
    documents: Arc<dyn Documents>,
    keys: Arc<dyn Keys>,
    runs: Arc<dyn Runs>,
    begun: BTreeSet<(Tenant, u32)>,
    opened: BTreeSet<SessionId>,
}

/// An account of a tenant with its session.
fn signed_in(name: &str, number: u32) -> (Account, Session) {
    let account = account(run_of(&tenant(name), number).0.as_u128(), &format!("{name}{number}@x"));
    let identity = Identity { tenant: name.to_owned(), ..account.identity };
    let account = Account { identity, ..account };
    let session = session(account.id.0.as_u128(), &account);
    (account, session)
}

/// The run with this number of a tenant; a run is of one tenant only.
fn run_of(tenant: &Tenant, number: u32) -> RunId {
    let place = TENANTS.iter().position(|name| *name == tenant.as_str()).unwrap();
    run((place * 100) as u128 + u128::from(number))
}

fn of_tenant(who: &Tenant, number: u32, run: u128) -> Attempt {
    Attempt { tenant: who.clone(), ..attempt("asha", &number.to_string(), run) }
}

fn told(what: impl Debug) -> String {
    format!("{what:?}\n")
}

impl World {
    /// What the method gives a tenant for this number, in words.
    async fn read(&self, method: &str, who: &Tenant, number: u32) -> String {
        let id = Uuid::from_u128(number.into());
        let limit = 100;
        let subject = [None, Some("asha".to_owned())][number as usize % 2].clone();
        match method {
            "Approvals::get" => told(self.approvals.get(who, ApprovalId(id)).await.unwrap()),
            "Approvals::list" => {
                let run_id = (number > 1).then(|| run(number.into()));
                let filter = Filter { run_id, limit, ..Filter::default() };
                told(self.approvals.list(who, &filter).await.unwrap())
            }
            "Blobs::get" => {
                let mut text = String::new();
                for owner in TENANTS {
                    let run = run_of(&tenant(owner), number);
                    let scope = Scope { run, ..scope(who.as_str(), 0) };
                    let (blob, _) = content(owner, internal());
                    let found = self.blobs.get(&scope, blob).await.unwrap();
                    text += &told(
                        found.map(|stored| String::from_utf8(stored.content.to_vec()).unwrap()),
                    );
                }
                text
            }
            "Budgets::cost" => {
                let mut text = String::new();
                for owner in TENANTS {
                    let run = run_of(&tenant(owner), number);
                    text += &told(self.budgets.cost(who, run).await.unwrap());
                }
                text
            }
            "Budgets::get" => told(self.budgets.get(who, BudgetId(id)).await.unwrap()),
            "Documents::get" => {
                let id = DocumentId(id);
                told(self.documents.get(who, subject.as_deref(), id).await.unwrap())
            }
            "Documents::list" => {
                let query = document::Query { subject, limit, ..document::Query::default() };
                told(self.documents.list(who, &query).await.unwrap())
            }
            "Keys::list" => {
                let query = identity::Query { subject, limit, ..identity::Query::default() };
                told(self.keys.list(who, &query).await.unwrap())
            }
            "Runs::get" => {
                let mut text = String::new();
                for owner in TENANTS {
                    let run = run_of(&tenant(owner), number);
                    text += &told(self.runs.get(who, run).await.unwrap());
                }
                text
            }
            "Runs::list" => {
                let query = runs::Query { subject, limit, ..runs::Query::default() };
                told(self.runs.list(who, &query).await.unwrap())
            }
            other => panic!("say how `{other}` is called"),
        }
    }

    /// Does it for a tenant, with this number.
    async fn write(&mut self, method: &str, who: &Tenant, number: u32, drawn: u64) {
        let id = Uuid::from_u128(number.into());
        let name = who.as_str();
        let subject = [None, Some("asha")][(drawn % 2) as usize];
        match method {
            _ if method.starts_with("Accounts::") => {
                self.write_account(method, who, number, drawn).await;
            }
            "Approvals::put" => {
                let made = approval(number, name, run(number.into()));
                self.approvals.put(who, &made).await.unwrap();
            }
            "Approvals::swap" => {
                let next = decided(&approval(number, name, run(number.into())));
                self.approvals.swap(who, &next).await.unwrap();
            }
            "Attempts::begin" => {
                self.attempts.begin(&of_tenant(who, number, 7)).await.unwrap();
                self.begun.insert((who.clone(), number));
            }
            "Attempts::swap" => {
                self.attempts.swap(run(7), &of_tenant(who, number, 8)).await.unwrap();
            }
            "Blobs::put" => {
                let (blob, stored) = content(name, internal());
                let scope = Scope { run: run_of(who, number), ..scope(name, 0) };
                self.blobs.put(&scope, blob, stored).await.unwrap();
            }
            "Budgets::allot" => self.budgets.allot(who, BudgetId(id), 100).await.unwrap(),
            "Budgets::reserve" => {
                let charge = Charge {
                    id: Uuid::from_u128(drawn.into()),
                    run_id: run_of(who, number),
                    tenant: who.clone(),
                    budgets: vec![BudgetId(id)],
                    amount_minor: 1,
                    at: at(1),
                };
                self.budgets.reserve(&charge).await.unwrap();
            }
            "Documents::delete" => {
                self.documents.delete(who, subject, DocumentId(id)).await.unwrap();
            }
            "Documents::put" => {
                let (document, content) = document(name, "asha", number.into());
                // A store may refuse an id that there is.
                let _ = self.documents.put(&document, &content, 100).await;
            }
            "Keys::put" => {
                let key = key(number.into(), name, "asha", "user");
                self.keys.put(who, &key).await.unwrap();
            }
            "Keys::revoke" => {
                let id = key(number.into(), name, "asha", "user").id;
                self.keys.revoke(who, subject, id, at(9)).await.unwrap();
            }
            "Runs::ask_to_cancel" => {
                let run = run_of(&tenant(TENANTS[(drawn % 3) as usize]), number);
                self.runs.ask_to_cancel(who, run, name).await.unwrap();
            }
            other => panic!("say how `{other}` is called"),
        }
    }

    /// As [`Self::write`], about an account or its sessions: half of the time those of whoever.
    async fn write_account(&mut self, method: &str, who: &Tenant, number: u32, drawn: u64) {
        let name = who.as_str();
        let owner = [name, TENANTS[(drawn % 3) as usize]][(drawn / 3 % 2) as usize];
        let (account, session) = signed_in(owner, number);
        match method {
            "Accounts::change" => {
                let changed = Account { name: format!("{name} {drawn}").into(), ..account };
                self.accounts.change(who, &changed).await.unwrap();
            }
            "Accounts::end" => drop(self.accounts.end(who, session.id, at(5)).await.unwrap()),
            "Accounts::end_all" => {
                self.accounts.end_all(who, account.id, at(5)).await.unwrap();
            }
            "Accounts::open" => {
                let id = SessionId(Uuid::from_u128(drawn.into()));
                let session = Session { id, ..session };
                self.accounts.open(who, &session, 2).await.unwrap();
                self.opened.insert(id);
            }
            "Accounts::renew" => {
                for id in &self.opened {
                    let held = self.accounts.session(*id).await.unwrap();
                    let theirs = held.filter(|(_, of)| of.id == account.id);
                    if let Some((Session { generation, .. }, _)) = theirs {
                        self.accounts.renew(who, *id, generation).await.unwrap();
                    }
                }
            }
            other => panic!("say how `{other}` is called"),
        }
    }

    /// All that a tenant can find, and what is on its way to be cancelled of it.
    async fn view(&self, who: &Tenant) -> String {
        let mut text = String::new();
        for method in READS {
            for number in 0..IDS {
                let found = self.read(method, who, number).await;
                let _ = write!(text, "{method} {number} {found}");
            }
        }
        for (_, number) in self.begun.iter().filter(|(begun, _)| begun == who) {
            text += &told(self.attempts.begin(&of_tenant(who, *number, 9)).await.unwrap());
        }
        for session in &self.opened {
            let found = self.accounts.session(*session).await.unwrap();
            if let Some(ours) = found.filter(|(_, account)| account.identity.tenant == who.as_str())
            {
                text += &told(ours);
            }
        }
        for (run, reason) in self.runs.to_cancel().await.unwrap() {
            if self.runs.get(who, run).await.unwrap().is_some() {
                text += &told((run, reason));
            }
        }
        text
    }
}

/// Some accounts, sessions and runs of each tenant, these at work, waiting and ended.
async fn begin(journal: &dyn Journal, world: &mut World) {
    let mut scribe = Scribe::after(journal.head());
    for name in TENANTS {
        for number in 0..IDS {
            let (account, session) = signed_in(name, number);
            assert!(world.accounts.create(&account).await.unwrap());
            world.accounts.open(&tenant(name), &session, 2).await.unwrap();
            world.opened.insert(session.id);
            let run = run_of(&tenant(name), number);
            scribe.append(journal, &started(run, name)).unwrap();
            match number % 3 {
                0 => {}
                1 => drop(scribe.append(journal, &waiting(run, 9_000)).unwrap()),
                _ => drop(scribe.append(journal, &ended(run)).unwrap()),
            }
        }
    }
    journal.durable(scribe.head.seq).await.unwrap();
}

/// Writes at random; gives the methods that have changed something.
async fn sequence(world: &mut World, seed: u64) -> BTreeSet<&'static str> {
    let ids = SeededIds::new(seed);
    let pick = |count: usize| usize::try_from(ids.random() % count as u64).unwrap();
    let mut effective = BTreeSet::new();
    let mut views = Vec::new();
    for name in TENANTS {
        views.push(world.view(&tenant(name)).await);
    }
    for step in 0..STEPS {
        // Each method once, about what is one's own, and then whatever is drawn.
        let (actor, method, number, drawn) = if let Some(method) = WRITES.get(step) {
            (0, *method, 0, 6_000_000 * (seed + 1))
        } else {
            let (actor, method) = (pick(TENANTS.len()), WRITES[pick(WRITES.len())]);
            (actor, method, u32::try_from(pick(IDS as usize)).unwrap(), ids.random())
        };
        world.write(method, &tenant(TENANTS[actor]), number, drawn).await;
        for (place, name) in TENANTS.iter().enumerate() {
            let view = world.view(&tenant(name)).await;
            let by = format!("seed {seed}, step {step}: {method} {number} by {}", TENANTS[actor]);
            for other in TENANTS.iter().filter(|other| *other != name) {
                assert!(!view.contains(other), "{by}: {name} sees {other}'s: {view}");
            }
            if view != views[place] {
                let lines: BTreeSet<&str> = views[place].lines().collect();
                let new: Vec<&str> = view.lines().filter(|line| !lines.contains(line)).collect();
                assert_eq!(place, actor, "{by}: {name} sees {new:#?}");
                effective.insert(method);
                views[place] = view;
            }
        }
    }
    effective
}

fn in_memory() -> (Arc<MemoryJournal>, World) {
    let journal = Arc::new(MemoryJournal::keeping(1_000));
    let world = World {
        accounts: Arc::new(MemoryAccounts::default()),
        approvals: Arc::new(MemoryApprovals::over(journal.clone())),
        attempts: Arc::new(MemoryAttempts::default()),
        blobs: Arc::new(MemoryBlobs::default()),
        budgets: Arc::new(MemoryBudgets::default()),
        documents: Arc::new(MemoryDocuments::default()),
        keys: Arc::new(MemoryKeys::default()),
        runs: Arc::new(MemoryRuns::over(journal.clone())),
        begun: BTreeSet::new(),
        opened: BTreeSet::new(),
    };
    (journal, world)
}

#[tokio::test]
async fn in_memory_nobody_sees_or_changes_what_is_of_another_tenant() {
    let mut effective = BTreeSet::new();
    for seed in 0..20 {
        let (journal, mut world) = in_memory();
        begin(&*journal, &mut world).await;
        effective.extend(sequence(&mut world, seed).await);
    }
    assert!(effective.iter().eq(WRITES.iter()), "all of them change what is one's own");
}

async fn nobody_sees_or_changes_what_is_of_another_tenant(place: &Place) {
    let store = place.own().await;
    let mut world = World {
        accounts: store.accounts.clone(),
        approvals: store.approvals.clone(),
        attempts: store.attempts.clone(),
        blobs: store.blobs.clone(),
        budgets: store.budgets.clone(),
        documents: store.documents.clone(),
        keys: store.keys.clone(),
        runs: store.runs.clone(),
        begun: BTreeSet::new(),
        opened: BTreeSet::new(),
    };
    begin(&*store.journal, &mut world).await;
    let mut effective = BTreeSet::new();
    for seed in 0..3 {
        effective.extend(sequence(&mut world, seed).await);
    }
    assert!(effective.iter().eq(WRITES.iter()), "{effective:?}");
    store.close().await.unwrap();
}

on_each_database!(nobody_sees_or_changes_what_is_of_another_tenant);

/// Every method of every port in this folder, with whether it takes a tenant.
fn methods(folder: &Path, found: &mut Vec<(String, String, bool)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            methods(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for port in text.split("#[async_trait]\npub trait ").skip(1) {
            let (name, body) = port.split_once(':').unwrap();
            let body = body.split_once("\n}").unwrap().0;
            for method in body.split("\n    fn ").flat_map(|part| part.split("\n    async fn ")) {
                let Some((of, rest)) = method.split_once('(') else { continue };
                let signature = rest.split([';', '{']).next().unwrap();
                let carriers = ["&Tenant", "&Scope", "&Document,", "&Attempt", "&Charge"];
                let is_scoped = carriers.iter().any(|carrier| signature.contains(carrier));
                if of.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_') {
                    found.push((name.to_owned(), of.to_owned(), is_scoped));
                }
            }
        }
    }
}

#[test]
fn every_method_of_a_port_takes_a_tenant_and_is_tried_or_says_why_it_is_about_all() {
    let mut found = Vec::new();
    methods(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/src"), &mut found);
    // What agents and tools are called with is no store.
    found.retain(|(port, _, _)| !["Agent", "Tool"].contains(&&**port));
    let names = |wanted: bool| {
        let scoped = found.iter().filter(move |(_, _, is_scoped)| *is_scoped == wanted);
        scoped.map(|(port, of, _)| format!("{port}::{of}")).collect::<BTreeSet<_>>()
    };
    let tried = READS.iter().chain(&WRITES).chain(&ELSEWHERE);
    assert_eq!(names(true), tried.map(|name| (*name).to_owned()).collect());
    let across = ACROSS.iter().flat_map(|(port, of, why)| {
        assert!(!why.is_empty());
        of.iter().map(move |of| format!("{port}::{of}"))
    });
    assert_eq!(names(false), across.collect());
}
