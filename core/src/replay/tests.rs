//! Replays of real runs: as they were, forged with sound hashes, and under other policies.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::approval::{Choice, Filter, MemoryApprovals};
use crate::blob::MemoryBlobs;
use crate::budget::{MemoryBudgets, Prices};
use crate::clock::{SteadyClock, Timestamp};
use crate::context::Context;
use crate::governed::Governed;
use crate::ids::SeededIds;
use crate::journal::Journal;
use crate::journal::chain::{Hash, seal};
use crate::journal::memory::MemoryJournal;
use crate::journal::restore::{Kept, Row, restore};
use crate::kernel::{Kernel, Options};
use crate::payload::Payload;
use crate::policy::{Judgement, Policy, PolicyError, Redaction, Requirement};
use crate::principal::Identity;
use crate::runs::MemoryRuns;
use crate::spec::AgentSpec;
use crate::tool::{Attempt, ToolError, ToolSpec};
use crate::{AgentError, Ask, async_trait};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    text: String,
    amount: u64,
}

impl Payload for Order {
    const KIND: &'static str = "order";
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Bill {
    text: String,
}

impl Payload for Bill {
    const KIND: &'static str = "bill";
}

/// Asks the clerk, pays, and answers.
struct Buyer;

#[async_trait]
impl Agent for Buyer {
    fn spec(&self) -> AgentSpec {
        let spec = AgentSpec::new("buyer", "buys").accepts::<Order>().emits::<Order>();
        spec.emits::<Bill>().uses("pay")
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let order: Order = message.decode()?;
        let bill: Bill = cx.ask("clerk", &order).await?;
        cx.tool("pay", json!({ "amount": order.amount })).await?;
        Ok(cx.reply(&bill).await?)
    }
}

struct Clerk;

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("clerk", "bills").accepts::<Order>().emits::<Bill>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let order: Order = message.decode()?;
        Ok(cx.reply(&Bill { text: order.text }).await?)
    }
}

/// The arguments of the tool.
#[derive(Deserialize, JsonSchema)]
struct Payment {
    #[expect(dead_code, reason = "only its schema counts")]
    amount: u64,
}

struct Pay;

#[async_trait]
impl Tool for Pay {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Payment>("pay", "pays")
    }

    async fn call(&self, _: Attempt<'_>) -> Result<Value, ToolError> {
        Ok(json!({ "paid": true }))
    }
}

/// Redacts `secret` at the start of a bill, denies `poison`, holds payments above a bound.
struct House {
    version: &'static str,
    bound: u64,
}

impl Policy for House {
    fn id(&self) -> &'static str {
        "house"
    }

    fn version(&self) -> &str {
        self.version
    }

    fn describe(&self) -> &'static str {
        "the rules of the house"
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let payload = message.payload().value();
        let text = payload["text"].as_str().unwrap_or_default();
        if payload["arguments"]["amount"].as_u64().is_some_and(|amount| amount > self.bound) {
            let reason = "it is a lot".to_owned();
            let requirement = Requirement { quorum: 2, ..Requirement::default() };
            return Ok(Judgement::RequireApproval { reason, requirement });
        }
        if text == "poison" {
            return Ok(Judgement::deny("nobody needs it"));
        }
        if message.kind() == "bill" && text.starts_with("secret") {
            let (range, what) = (Some((0, 6)), "secret".to_owned());
            let redactions = vec![Redaction { pointer: "/text".to_owned(), range, what }];
            return Ok(Judgement::Redact { redactions, reason: "it is one".to_owned() });
        }
        Ok(Judgement::Allow)
    }
}

const AGENTS: [&dyn Agent; 2] = [&Buyer, &Clerk];

fn set(version: &'static str, bound: u64) -> PolicySet {
    PolicySet::new(vec![Arc::new(House { version, bound })]).unwrap()
}

fn world() -> World {
    let tools: Vec<Arc<dyn Tool>> = vec![Arc::new(Pay)];
    World::new(&AGENTS, &tools, Clearance::default(), "in", &Limits::default()).unwrap()
}

/// The records of a run that orders this; whoever is asked to approve does.
async fn run(text: &str, amount: u64) -> Vec<Arc<Record>> {
    let journal = Arc::new(MemoryJournal::keeping(1_000));
    let approvals = Arc::new(MemoryApprovals::over(journal.clone()));
    let (kernel, authority) = Kernel::start(Options {
        agents: AGENTS.to_vec(),
        tools: vec![Arc::new(Pay)],
        policies: set("1", 100),
        journal: journal.clone(),
        runs: Arc::new(MemoryRuns::over(journal.clone())),
        approvals: approvals.clone(),
        blobs: Arc::new(MemoryBlobs::default()),
        clock: Arc::new(SteadyClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000))),
        ids: Arc::new(SeededIds::new(7)),
        limits: Limits::default(),
        budgets: Arc::new(MemoryBudgets::default()),
        prices: Prices::default(),
        home_region: "in".to_owned(),
        user_clearance: Clearance::default(),
    })
    .await
    .unwrap();
    let person = |subject: &str| {
        let (tenant, subject) = ("acme".to_owned(), subject.to_owned());
        let roles = ["approver".to_owned()].into();
        authority.admit(Identity { tenant, subject, roles, ..Identity::default() })
    };
    let order = Order { text: text.to_owned(), amount };
    let running = kernel.ask(&person("asha"), Ask::new("buyer", &order)).await.unwrap();
    let run_id = running.run_id;
    for approver in ["ravi", "meera"] {
        if amount <= 100 || text == "poison" {
            break;
        }
        let filter = Filter { limit: 1, ..Filter::default() };
        let waiting = loop {
            use crate::approval::Approvals;
            let found = approvals.list(person("ravi").tenant(), &filter).await.unwrap();
            match found.into_iter().next() {
                Some(waiting) => break waiting,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let said = (Choice::Approve, "seen");
        kernel.decide(&person(approver), waiting.id, None, said).await.unwrap();
    }
    running.outcome().await;
    kernel.drain().await;
    journal.read_run(run_id).await.unwrap()
}

/// The run with one record changed, and every hash made anew: what a forger with the whole database
/// in their hands would leave.
fn forged(
    records: &[Arc<Record>],
    kind: &str,
    which: usize,
    change: impl Fn(&mut Value),
) -> Vec<Arc<Record>> {
    let tag = format!("{{\"type\":\"{kind}\"");
    let mut seen = 0;
    rows(records, |body| {
        if body.starts_with(&tag) {
            seen += 1;
            if seen == which {
                let mut value: Value = serde_json::from_str(body).unwrap();
                change(&mut value);
                return Some(value.to_string());
            }
        }
        Some(body.to_owned())
    })
}

/// The run without the records for which `edit` gives nothing, numbered and sealed anew.
fn rows(records: &[Arc<Record>], mut edit: impl FnMut(&str) -> Option<String>) -> Vec<Arc<Record>> {
    let (mut prev_hash, mut number) = (Hash::ZERO, 0);
    let edited = records.iter().filter_map(|record| edit(&record.text().unwrap()));
    let sealed = edited.map(|body| {
        number += 1;
        let hash = seal(number, prev_hash, Hash::of(body.as_bytes()));
        let row = Row { seq: number, prev_hash, hash, number, body: Kept::Text(body) };
        prev_hash = hash;
        row
    });
    restore(sealed.collect::<Vec<_>>()).unwrap()
}

fn problems(records: &[Arc<Record>]) -> Vec<String> {
    let report = check(records, &set("1", 100), &world());
    let departures = report.departures.iter().map(|departure| departure.problem.clone());
    let differences = report.differences.iter().map(|difference| {
        format!("{:?} → {:?}", difference.then.decision, difference.now.decision)
    });
    departures.chain(differences).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_comes_out_as_it_is_recorded() {
    for (text, amount, status) in
        [("tea", 5, "completed"), ("tea", 500, "completed"), ("poison", 5, "denied")]
    {
        let report = check(&run(text, amount).await, &set("1", 100), &world());
        assert_eq!(problems(&run(text, amount).await), [""; 0], "{text} {amount}");
        assert_eq!((report.status, report.same), (status, report.verdicts));
        assert!(report.same_set() && report.is_same() && report.underived.is_empty());
        assert!(report.messages > 0 && report.records > report.messages);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_redacted_is_said_not_to_be_derivable_and_must_pass_now() {
    let records = run("secret tea", 5).await;
    let report = check(&records, &set("1", 100), &world());
    assert!(report.is_same(), "{:?}", report.differences);
    // The clerk's bill; the buyer's reply has nothing more to redact.
    assert_eq!((report.underived.len(), report.verdicts), (1, report.same + 1));
    let put_back = rows(&records, |body| {
        let is_bill = body.starts_with("{\"type\":\"message\"") && body.contains("\"bill\"");
        Some(if is_bill {
            body.replace("[redacted:secret] tea", "poison")
        } else {
            body.to_owned()
        })
    });
    assert!(problems(&put_back).iter().any(|problem| problem == "Redact → Deny"));
}

#[tokio::test(start_paused = true)]
async fn other_policies_are_told_from_those_of_then() {
    let records = run("tea", 50).await;
    let report = check(&records, &set("2", 10), &world());
    assert!(!report.same_set());
    let [difference] = report.differences.as_slice() else { panic!("{:?}", report.differences) };
    assert_eq!((&*difference.kind, &*difference.to), ("tool.call", "tool:pay"));
    assert_eq!(difference.then.decision, Decision::Allow);
    assert_eq!(difference.now.decision, Decision::RequireApproval);
    assert!(difference.is_of_decision() && report.departures.is_empty());
    // The same rules under another version decide the same, for another version.
    let report = check(&run("poison", 5).await, &set("2", 100), &world());
    let [difference] = report.differences.as_slice() else { panic!("{:?}", report.differences) };
    assert!(!difference.is_of_decision());
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_is_not_registered_cannot_be_judged_and_is_named() {
    let records = run("tea", 5).await;
    let alone = World::new(&[&Clerk], &[], Clearance::default(), "in", &Limits::default()).unwrap();
    let report = check(&records, &set("1", 100), &alone);
    // The order, the clerk's reply, the call and its result are for the buyer or the tool.
    assert_eq!((report.underived.len(), report.verdicts), (4, 6));
    assert!(report.underived[0].reason.contains("`buyer` is not registered"));
}

/// One forged record, and what it is found by.
type Forgery = (&'static str, usize, fn(&mut Value), &'static str);

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "a table of forgeries, one after the other")]
async fn a_forged_record_with_sound_hashes_is_found_by_what_it_must_follow_from() {
    let records = run("tea", 500).await;
    let forgeries: [Forgery; 25] = [
        ("verdict", 1, |record| record["decision"] = "deny".into(), "Deny → Allow"),
        ("verdict", 1, |record| record["reason"] = "because".into(), "Allow → Allow"),
        ("verdict", 1, |record| record["policy_version"] = "0".into(), "Allow → Allow"),
        ("verdict", 4, |record| record["decision"] = "allow".into(), "Allow → RequireApproval"),
        ("message", 2, |record| record["message"]["hops"] = 7.into(), "one hop behind"),
        ("message", 2, |record| record["step"] = 9.into(), "id that does not follow"),
        (
            "message",
            2,
            |record| record["message"]["from"] = "clerk".into(),
            "whoever had its cause",
        ),
        (
            "message",
            3,
            |record| record["message"]["to"] = "clerk".into(),
            "replies to someone else",
        ),
        (
            "message",
            2,
            |record| record["message"]["label"]["classification"] = "public".into(),
            "less protected",
        ),
        (
            "message",
            2,
            |record| record["message"]["principal"]["subject"] = "ravi".into(),
            "another principal",
        ),
        (
            "message",
            1,
            |record| record["message"]["principal"]["subject"] = "ravi".into(),
            "whoever the run was started for",
        ),
        (
            "message",
            4,
            |record| record["message"]["payload"]["arguments"]["amount"] = 900.into(),
            "asks about something else than its message",
        ),
        (
            "message",
            6,
            |record| record["message"]["payload"]["text"] = "coffee".into(),
            "something else than the answer",
        ),
        (
            "approval_requested",
            1,
            |record| record["requirement"]["quorum"] = 1.into(),
            "asks for what no verdict wants",
        ),
        (
            "approval_decided",
            1,
            |record| drop(record["decisions"].as_array_mut().unwrap().pop()),
            "does not follow from what was said",
        ),
        (
            "approval_decided",
            1,
            |record| record["decisions"][1]["by"] = "ravi".into(),
            "may not decide twice",
        ),
        (
            "approval_decided",
            1,
            |record| record["decisions"][1]["by"] = "asha".into(),
            "counts whoever may not decide",
        ),
        (
            "approval_decided",
            1,
            |record| record["status"] = json!({ "status": "rejected" }),
            "not let through",
        ),
        ("effect", 1, |record| record["attempt"] = 2.into(), "not the next attempt"),
        ("effect", 1, |record| record["key"] = "x".into(), "not that of its call"),
        (
            "effect",
            2,
            |record| {
                record["state"] = "intent".into();
                record["key"] = "x".into();
                record["attempt"] = 2.into();
            },
            "cannot follow the one before it",
        ),
        ("outcome", 1, |record| record["answer_sha256"] = "0".repeat(64).into(), "than the answer"),
        ("run_end", 1, |record| record["messages"] = 1.into(), "does not count"),
        ("run_end", 1, |record| record["records"] = 1.into(), "does not count"),
        ("run_started", 1, |record| record["policy_set"] = "0".into(), "another policy set"),
    ];
    for (kind, which, change, found) in forgeries {
        let forged = forged(&records, kind, which, change);
        let problems = problems(&forged);
        let named = problems.iter().any(|problem| problem.contains(found));
        assert!(named, "{kind} {which}, {found}: {problems:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_left_out_with_sound_hashes_is_found() {
    let records = run("tea", 500).await;
    for left_out in 0..records.len() {
        let mut at = 0;
        let forged = rows(&records, |body| {
            at += 1;
            (at != left_out + 1).then(|| body.to_owned())
        });
        assert!(!problems(&forged).is_empty(), "without record {}", left_out + 1);
    }
}
