//! What a credential is kept to holds wherever an agent calls a tool, however many hops away.

use genie::App;
use genie::config::Config;
use genie_core::failure::Failure;
use genie_core::outcome::Outcome;
use genie_core::principal::{Allowed, Identity};
use genie_core::{Agent, AgentError, AgentSpec, Ask, Context, Governed, Payload, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A sum to do.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Sum(String);

impl Payload for Sum {
    const KIND: &'static str = "test.sum";
}

/// What it comes to.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Total(String);

impl Payload for Total {
    const KIND: &'static str = "test.total";
}

/// Calls the tool.
struct Reckoner;

#[async_trait]
impl Agent for Reckoner {
    fn spec(&self) -> AgentSpec {
        let spec = AgentSpec::new("reckoner", "does sums").accepts::<Sum>().emits::<Total>();
        spec.uses("calculator")
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Sum(expression) = message.decode()?;
        let output = cx.tool("calculator", json!({ "expression": expression })).await?;
        let total = output["result"].as_str().unwrap_or_default().to_owned();
        Ok(cx.reply(&Total(total)).await?)
    }
}

/// Has another agent call it.
struct Clerk;

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("clerk", "has sums done").accepts::<Sum>().emits::<Sum>().emits::<Total>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let sum: Sum = message.decode()?;
        let total: Total = cx.ask("reckoner", &sum).await?;
        Ok(cx.reply(&total).await?)
    }
}

fn names(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_list_of_tools_holds_for_every_agent_on_the_way() {
    let running = App::build(Config::default()).agent(&Reckoner).agent(&Clerk).start().await;
    let running = running.unwrap();
    let check = async |agent: &str, allowed: Allowed, expected: Result<&str, &str>| {
        let principal = running.admit(Identity {
            tenant: "acme".to_owned(),
            subject: "asha".to_owned(),
            allowed,
            ..Identity::default()
        });
        let ask = Ask::new(agent, &Sum("6 * 7".to_owned()));
        let outcome = running.kernel().ask(&principal, ask).await.unwrap().outcome().await;
        let found = match &*outcome {
            Outcome::Completed { answer, .. } => Ok(answer.decode::<Total>().unwrap().0),
            Outcome::Denied { denied } | Outcome::Failed { cause: Failure::Denied(denied) } => {
                Err(denied.policy.to_string())
            }
            other => Err(format!("{other:?}")),
        };
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{agent}");
    };
    let tools = |tools: &[&str]| Allowed { tools: Some(names(tools)), ..Allowed::default() };
    let agents = |agents: &[&str]| Allowed { agents: Some(names(agents)), ..Allowed::default() };
    for agent in ["reckoner", "clerk"] {
        check(agent, Allowed::default(), Ok("42")).await;
        check(agent, tools(&["calculator"]), Ok("42")).await;
        check(agent, tools(&["clock.now"]), Err("allow-lists")).await;
        check(agent, tools(&[]), Err("allow-lists")).await;
        check(agent, agents(&[agent]), Ok("42")).await;
        check(agent, agents(&["auditor"]), Err("allow-lists")).await;
    }
    running.drain().await;
}
