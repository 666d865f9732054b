//! Fan-out by publishing, fan-in by collecting: one leg is too slow, and the answer says so.
//!
//! The desk publishes figures, the analyzer publishes what it made of them, and three legs each
//! publish one finding. Nobody addresses anybody; the desk collects the findings by their kinds,
//! waits no longer than its deadline, and answers with what it has and the name of what it has not.
//!
//! Run with `cargo run --example fan_out_fan_in`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use genie::App;
use genie::config::Config;
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use genie_core::{
    Agent, AgentError, AgentSpec, Ask, Context, Gather, Governed, Payload, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the desk waits for its findings.
const PATIENCE: Duration = Duration::from_millis(500);

/// Gives each payload type its kind.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($value:ty) is $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Serialize, Deserialize, JsonSchema)]
        struct $name($value);

        impl Payload for $name {
            const KIND: &'static str = $kind;
        }
    )*};
}

kinds! {
    /// What the desk is asked about.
    Request(Vec<i64>) is "figures.request";
    /// What the desk publishes.
    Figures(Vec<i64>) is "figures";
    /// What the analyzer publishes: the figures in order.
    Sorted(Vec<i64>) is "figures.sorted";
    /// What the first leg finds.
    Median(i64) is "finding.median";
    /// What the second leg finds.
    Spread(i64) is "finding.spread";
    /// What the third leg would find.
    Outlook(i64) is "finding.outlook";
    /// What the desk answers.
    Answer(Vec<String>) is "figures.answer";
}

struct Desk;

#[async_trait]
impl Agent for Desk {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("desk", "has figures looked at and sums up the findings")
            .accepts::<Request>()
            .emits::<Figures>()
            .emits::<Answer>()
            .collects::<Median>()
            .collects::<Spread>()
            .collects::<Outlook>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let request: Request = message.decode()?;
        cx.publish(&Figures(request.0)).await?;
        let gather = Gather::all().deadline(PATIENCE).partial(true);
        let kinds = [Median::KIND, Spread::KIND, Outlook::KIND];
        let gathered = cx.collect(&kinds, gather).await?;
        let mut lines = Vec::new();
        if let Some(median) = gathered.payload::<Median>() {
            lines.push(format!("median {}", median.0));
        }
        if let Some(spread) = gathered.payload::<Spread>() {
            lines.push(format!("spread {}", spread.0));
        }
        if let Some(outlook) = gathered.payload::<Outlook>() {
            lines.push(format!("outlook {}", outlook.0));
        }
        lines.extend(gathered.missing.iter().map(|missing| format!("without {}", missing.leg)));
        Ok(cx.reply(&Answer(lines)).await?)
    }
}

struct Analyzer;

#[async_trait]
impl Agent for Analyzer {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("analyzer", "puts figures in order").accepts::<Figures>().emits::<Sorted>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Figures(mut figures) = message.decode()?;
        if figures.is_empty() {
            return Err(AgentError::new("there are no figures; send at least one"));
        }
        figures.sort_unstable();
        cx.publish(&Sorted(figures)).await?;
        Ok(())
    }
}

struct MedianLeg;

#[async_trait]
impl Agent for MedianLeg {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("median_leg", "finds the middle").accepts::<Sorted>().emits::<Median>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Sorted(figures) = message.decode()?;
        cx.publish(&Median(figures[figures.len() / 2])).await?;
        Ok(())
    }
}

struct SpreadLeg;

#[async_trait]
impl Agent for SpreadLeg {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("spread_leg", "finds the spread").accepts::<Sorted>().emits::<Spread>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Sorted(figures) = message.decode()?;
        cx.publish(&Spread(figures[figures.len() - 1] - figures[0])).await?;
        Ok(())
    }
}

/// Takes longer than the desk has patience.
struct OutlookLeg;

#[async_trait]
impl Agent for OutlookLeg {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("outlook_leg", "looks ahead").accepts::<Sorted>().emits::<Outlook>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Sorted(figures) = message.decode()?;
        cx.sleep(PATIENCE * 10).await?;
        cx.publish(&Outlook(figures[0])).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let agents: [&'static dyn Agent; 5] = [&Desk, &Analyzer, &MedianLeg, &SpreadLeg, &OutlookLeg];
    let running = App::build(Config::default()).agents(&agents).start().await?;
    let principal = running.admit(Identity {
        tenant: "acme".to_owned(),
        subject: "asha".to_owned(),
        ..Identity::default()
    });
    let ask = Ask::new("desk", &Request(vec![5, 1, 9, 7, 3]));
    match &*running.kernel().ask(&principal, ask).await?.outcome().await {
        Outcome::Completed { answer, .. } => {
            for line in answer.decode::<Answer>()?.0 {
                println!("{line}");
            }
        }
        other => anyhow::bail!("the run ended otherwise: {other:?}"),
    }
    running.drain().await;
    Ok(())
}
