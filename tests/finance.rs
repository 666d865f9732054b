//! The finance pipeline as an embedder runs it, with agents that fail, crash or never answer.

use std::sync::Arc;

use genie::App;
use genie::config::Config;
use genie_agents::finance::domain::forecast::Forecast;
use genie_agents::finance::domain::generate::SAMPLE_TEN_ROWS;
use genie_agents::finance::messages::{Analysed, Brief, Drafted, Report};
use genie_agents::finance::{CONSENT, SCOPE};
use genie_core::journal::Entry;
use genie_core::journal::record::Record;
use genie_core::label::{Classification, Label, PERSONAL, UNTRUSTED};
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use genie_core::registry::Registry;
use genie_core::{Agent, AgentError, AgentSpec, Context, Failure, Governed, async_trait};

/// Asks a question about the ten rows; the outcome and every record of the run.
async fn ask(
    agents: &[&'static dyn Agent],
    question: &str,
    consents: &[&str],
) -> (Arc<Outcome>, Vec<Arc<Record>>) {
    let running = App::build(Config::default()).agents(agents).start().await.unwrap();
    let principal = running.admit(Identity {
        tenant: "acme".into(),
        subject: "asha".into(),
        scopes: [SCOPE.to_owned()].into(),
        consents: consents.iter().map(|purpose| (*purpose).to_owned()).collect(),
        ..Identity::default()
    });
    let label = Label::new(Classification::Confidential).with_region("in");
    let ask = genie_agents::finance::ask(question, SAMPLE_TEN_ROWS.into()).labelled(label);
    let outcome = running.kernel().ask(&principal, ask).await.unwrap().outcome().await;
    let records = running.system().journal().read(0, usize::MAX).await.unwrap();
    running.drain().await;
    (outcome, records)
}

/// All agents, with this one in place of the one that has its id.
fn with(replacement: &'static dyn Agent) -> Vec<&'static dyn Agent> {
    let id = replacement.spec().id;
    let others = genie_agents::ALL.iter().copied().filter(|agent| agent.spec().id != id);
    others.chain([replacement]).collect()
}

fn report(outcome: &Outcome) -> Report {
    let Outcome::Completed { answer, .. } = outcome else { unreachable!("{outcome:?}") };
    answer.decode().unwrap()
}

/// How a broken agent is broken.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Fails,
    Crashes,
    Hangs,
}

impl Broken {
    async fn act(self) -> Result<(), AgentError> {
        match self {
            Self::Fails => Err(AgentError::new("out of order")),
            Self::Crashes => unreachable!("out of order"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

fn cleared(spec: AgentSpec) -> AgentSpec {
    spec.cleared_for(Classification::Confidential)
        .cleared_for_category(PERSONAL)
        .cleared_for_category(UNTRUSTED)
}

struct BrokenForecaster(Broken);

#[async_trait]
impl Agent for BrokenForecaster {
    fn spec(&self) -> AgentSpec {
        cleared(AgentSpec::new("forecaster", "is broken").accepts::<Analysed>().emits::<Forecast>())
    }

    async fn handle(&self, _message: Governed, _cx: &mut Context) -> Result<(), AgentError> {
        self.0.act().await
    }
}

struct BrokenReporter(Broken);

#[async_trait]
impl Agent for BrokenReporter {
    fn spec(&self) -> AgentSpec {
        let spec = AgentSpec::new("reporter", "is broken").accepts::<Brief>().emits::<Drafted>();
        cleared(spec.fallback("fallback"))
    }

    async fn handle(&self, _message: Governed, _cx: &mut Context) -> Result<(), AgentError> {
        self.0.act().await
    }
}

#[tokio::test(start_paused = true)]
async fn every_payload_follows_the_schema_that_its_kind_declares() {
    let registry = Registry::new(genie_agents::ALL).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for question in ["Where did I overspend?", "Can I afford ₹15,000 a month?", "Summary"] {
        let (_, records) = ask(genie_agents::ALL, question, &[CONSENT]).await;
        for record in records {
            let Entry::Message { message, .. } = &record.entry else { continue };
            let kind = registry.kind(message.kind()).unwrap();
            assert_eq!(kind.validate(&message.payload().value()), Ok(()), "{}", message.kind());
            kinds.insert(message.kind().to_owned());
        }
    }
    // What a tool gives is of the tool's making.
    let agents = registry.specs().filter(|spec| spec.id != "tool_executor");
    let declared = agents.flat_map(|spec| &spec.emits).map(|kind| kind.name().to_owned());
    let unseen: Vec<String> = declared.filter(|kind| !kinds.contains(kind)).collect();
    assert!(unseen.is_empty(), "never sent here, so never checked: {unseen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leg_leaves_a_partial_answer_that_names_it() {
    static FAILS: BrokenForecaster = BrokenForecaster(Broken::Fails);
    static CRASHES: BrokenForecaster = BrokenForecaster(Broken::Crashes);
    static HANGS: BrokenForecaster = BrokenForecaster(Broken::Hangs);
    for (forecaster, reason) in [(&FAILS, "out of order"), (&CRASHES, "crashed"), (&HANGS, "time")]
    {
        let (outcome, _) = ask(&with(forecaster), "Summary", &[CONSENT]).await;
        let report = report(&outcome);
        assert!(report.partial, "{reason}");
        let missing: Vec<&str> = report.missing.iter().map(|leg| leg.what.as_str()).collect();
        assert_eq!(missing, ["forecast"], "{reason}");
        assert!(report.missing[0].reason.contains(reason), "{}", report.missing[0].reason);
        assert!(report.answer.answer.contains("₹32,798.00"), "{}", report.answer.answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reporter_that_cannot_write_is_stood_in_for_with_the_totals() {
    static FAILS: BrokenReporter = BrokenReporter(Broken::Fails);
    static CRASHES: BrokenReporter = BrokenReporter(Broken::Crashes);
    for reporter in [&FAILS, &CRASHES] {
        let (outcome, _) = ask(&with(reporter), "Summary", &[CONSENT]).await;
        let report = report(&outcome);
        assert!(report.partial && report.missing.iter().any(|leg| leg.what == "report"));
        // The ten rows: 100,000.00 in, 32,798.00 out.
        for total in ["₹1,00,000.00", "₹32,798.00", "₹67,202.00"] {
            assert!(report.answer.answer.contains(total), "{}", report.answer.answer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_consent_the_statement_is_not_read() {
    let (outcome, records) = ask(genie_agents::ALL, "Summary", &[]).await;
    let Outcome::Failed { cause: Failure::Denied(denied) } = &*outcome else {
        unreachable!("{outcome:?}")
    };
    assert_eq!(&*denied.policy, "consent");
    let read = records.iter().any(
        |record| matches!(&record.entry, Entry::Handled { agent, .. } if &**agent == "ingestor"),
    );
    assert!(!read, "the ingestor was reached without consent");
}
