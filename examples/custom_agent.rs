//! An agent of one's own in a process of one's own: define it, start it, ask it.
//!
//! Run with `cargo run --example custom_agent`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use genie::App;
use genie::config::Config;
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use genie_core::{Agent, AgentError, AgentSpec, Ask, Context, Governed, Payload, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the agent is asked.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Celsius {
    degrees: f64,
}

impl Payload for Celsius {
    const KIND: &'static str = "temperature.celsius";
}

/// What it answers.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Fahrenheit {
    degrees: f64,
}

impl Payload for Fahrenheit {
    const KIND: &'static str = "temperature.fahrenheit";
}

struct Converter;

#[async_trait]
impl Agent for Converter {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("converter", "converts temperatures")
            .accepts::<Celsius>()
            .emits::<Fahrenheit>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let celsius: Celsius = message.decode()?;
        Ok(cx.reply(&Fahrenheit { degrees: celsius.degrees * 1.8 + 32.0 }).await?)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let running = App::build(Config::default()).agent(&Converter).start().await?;
    let principal = running.admit(Identity {
        tenant: "acme".to_owned(),
        subject: "asha".to_owned(),
        ..Identity::default()
    });
    let ask = Ask::new("converter", &Celsius { degrees: 21.5 });
    match &*running.kernel().ask(&principal, ask).await?.outcome().await {
        Outcome::Completed { answer, .. } => {
            println!("21.5 °C are {} °F", answer.decode::<Fahrenheit>()?.degrees);
        }
        other => anyhow::bail!("the run ended otherwise: {other:?}"),
    }
    running.drain().await;
    Ok(())
}
