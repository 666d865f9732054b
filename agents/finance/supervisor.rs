//! The supervisor: takes the question, sets the pipeline going, gathers its legs, has the report
//! written and checked, and answers, partially if a leg is dead.

use genie_core::{
    Agent, AgentError, AgentSpec, Context, Gather, Governed, Payload, Risk, async_trait,
};

use super::clearance::Cleared;
use super::domain::advice::Recommendations;
use super::domain::affordability::Affordability;
use super::domain::anomaly::Anomalies;
use super::domain::forecast::Forecast;
use super::domain::question::{Intent, parse};
use super::domain::recurring::Recurring;
use super::messages::{
    Analysed, Audited, Brief, CanAfford, Draft, Drafted, MissingLeg, Question, Report, Statement,
};
use super::shelf::Shelf;
use super::{LEGS_WAIT, PIPELINE_WAIT, need};

/// Answers questions about statements.
pub(crate) struct Supervisor;

#[async_trait]
impl Agent for Supervisor {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("supervisor", "answers a question about a statement")
            .capability("answer_finance_question")
            .risk(Risk::Medium)
            .accepts::<Question>()
            .collects::<Analysed>()
            .collects::<Forecast>()
            .collects::<Anomalies>()
            .collects::<Recurring>()
            .collects::<Recommendations>()
            .emits::<Statement>()
            .emits::<CanAfford>()
            .emits::<Brief>()
            .emits::<Draft>()
            .emits::<Report>()
            .cleared()
            .requires_scope(super::SCOPE)
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let asked: Question = message.decode()?;
        let statement = asked.statement.ok_or_else(|| {
            AgentError::new("the question is about a statement, and none came with it; send one")
        })?;
        cx.publish(&Statement { statement }).await?;
        let pipeline = Gather::all().deadline(PIPELINE_WAIT).partial(true);
        let analysed: Analysed = need(&cx.collect(&[Analysed::KIND], pipeline).await?)?;
        let brief = gather_legs(&asked.question, analysed, cx).await?;
        let book = brief.analysed.book;
        let drafted: Drafted = cx.ask("reporter", &brief).await?;
        let draft = Draft { book, report: drafted.report };
        let audited: Audited = cx.ask("auditor", &draft).await?;
        if !audited.problems.is_empty() {
            let problems = audited.problems.join("; ");
            return Err(AgentError::new(format!("the report does not hold: {problems}")));
        }
        let report = cx.load::<Report>(&draft.report).await?;
        Ok(cx.reply(&*report).await?)
    }
}

/// Gathers what the legs found; a leg that is dead or late is named instead of waited for.
async fn gather_legs(
    question: &str,
    analysed: Analysed,
    cx: &mut Context,
) -> Result<Brief, AgentError> {
    let kinds = [Forecast::KIND, Anomalies::KIND, Recurring::KIND, Recommendations::KIND];
    let legs = Gather::all().deadline(LEGS_WAIT * 2).partial(true);
    let gathered = cx.collect(&kinds, legs).await?;
    let mut missing: Vec<MissingLeg> = gathered
        .missing
        .iter()
        .map(|leg| MissingLeg {
            what: leg.leg.trim_end_matches(".result").to_owned(),
            reason: leg.reason.clone(),
        })
        .collect();
    let shelf = Shelf::open(cx, &analysed.book).await?;
    let intent = parse(question, &shelf.book()?);
    let affordability = match judge_amount(&intent, &analysed, cx).await {
        Ok(judged) => judged,
        Err(error) => {
            missing.push(MissingLeg { what: "affordability".into(), reason: error.to_string() });
            None
        }
    };
    Ok(Brief {
        intent,
        analysed,
        forecast: gathered.payload(),
        anomalies: gathered.payload(),
        recurring: gathered.payload(),
        recommendations: gathered.payload(),
        affordability,
        missing,
    })
}

/// Has an amount judged, if the question names one.
async fn judge_amount(
    intent: &Intent,
    analysed: &Analysed,
    cx: &mut Context,
) -> Result<Option<Affordability>, AgentError> {
    let Intent::Afford { amount_minor: Some(amount_minor), monthly } = *intent else {
        return Ok(None);
    };
    let request = CanAfford { book: analysed.book, amount_minor, monthly };
    Ok(Some(cx.ask("affordability", &request).await?))
}
