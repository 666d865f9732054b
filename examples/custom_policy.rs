//! A policy of one's own behind the built-in ones: what it denies never reaches the agent.
//!
//! Run with `cargo run --example custom_policy`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use genie::App;
use genie::config::Config;
use genie_core::message::Message;
use genie_core::outcome::Outcome;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};
use genie_core::principal::Identity;
use genie_core::{Agent, AgentError, AgentSpec, Ask, Context, Governed, Payload, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text to translate, and its translation.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

impl Payload for Text {
    const KIND: &'static str = "text";
}

struct Shouter;

#[async_trait]
impl Agent for Shouter {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("shouter", "says it louder").accepts::<Text>().emits::<Text>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let text: Text = message.decode()?;
        Ok(cx.reply(&Text { text: text.text.to_uppercase() }).await?)
    }
}

/// Keeps a code name inside.
struct CodeName;

impl Policy for CodeName {
    fn id(&self) -> &'static str {
        "code-name"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "The code name of the next product is not written down."
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        if message.payload().text().contains("bluebird") {
            return Ok(Judgement::deny("it holds the code name; leave that out"));
        }
        Ok(Judgement::Allow)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::build(Config::default()).agent(&Shouter).policy(CodeName);
    let running = app.start().await?;
    let principal = running.admit(Identity {
        tenant: "acme".to_owned(),
        subject: "asha".to_owned(),
        ..Identity::default()
    });
    for text in ["good morning", "bluebird is nearly done"] {
        let ask = Ask::new("shouter", &Text { text: text.to_owned() });
        match &*running.kernel().ask(&principal, ask).await?.outcome().await {
            Outcome::Completed { answer, .. } => {
                println!("{text}: {}", answer.decode::<Text>()?.text);
            }
            Outcome::Denied { denied } => println!("{text}: {denied}"),
            other => anyhow::bail!("the run ended otherwise: {other:?}"),
        }
    }
    running.drain().await;
    Ok(())
}
