//! The agents that the bus is measured with: they do as little as an agent can.

use std::time::Duration;

use genie_core::context::Request;
use genie_core::tool::{Attempt, Tool, ToolError, ToolSpec};
use genie_core::{Agent, AgentError, AgentSpec, Context, Gather, Governed, Payload, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A payload that serialises to about 300 bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Load {
    text: String,
}

impl Payload for Load {
    const KIND: &'static str = "bench.load";
}

impl Load {
    /// What somebody says in a conversation.
    fn turn(turn: u32, bytes: usize) -> Self {
        let text = format!("turn {turn}: the quick brown fox jumps over the lazy dog; ");
        Self { text: text.chars().cycle().take(bytes).collect() }
    }

    pub(super) fn of_300_bytes() -> Self {
        Self { text: "the quick brown fox jumps over the lazy dog; ".repeat(7)[..289].to_owned() }
    }
}

/// How many messages to send, or how long to wait in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Order {
    pub(super) count: u32,
}

impl Payload for Order {
    const KIND: &'static str = "bench.order";
}

/// Done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Done {
    pub(super) count: u32,
}

impl Payload for Done {
    const KIND: &'static str = "bench.done";
}

/// Publishes as many loads as it is told to.
pub(super) struct Source;

#[async_trait]
impl Agent for Source {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("bench_source", "publishes loads")
            .accepts::<Order>()
            .emits::<Load>()
            .emits::<Done>()
            .handler_deadline(Duration::from_mins(10))
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let order: Order = message.decode()?;
        let load = Load::of_300_bytes();
        for _ in 0..order.count {
            cx.publish(&load).await?;
        }
        Ok(cx.reply(&Done { count: order.count }).await?)
    }
}

/// Reads loads and drops them.
pub(super) struct Sink;

#[async_trait]
impl Agent for Sink {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("bench_sink", "drops loads").accepts::<Load>()
    }

    async fn handle(&self, message: Governed, _cx: &mut Context) -> Result<(), AgentError> {
        let _load: Load = message.decode()?;
        Ok(())
    }
}

/// A scatter to the three legs, each of which waits that long.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Scatter {
    wait_ms: u64,
}

impl Payload for Scatter {
    const KIND: &'static str = "bench.scatter";
}

/// The kind of the order that a leg never answers.
const NEVER_MS: u64 = 3_600_000;

/// Asks legs at once and waits for all; a leg that is told to never answers.
pub(super) struct Fan {
    /// The id.
    pub(super) id: &'static str,
    /// How long each leg takes.
    pub(super) legs_ms: &'static [u64],
    /// Longest wait.
    pub(super) deadline: Duration,
}

#[async_trait]
impl Agent for Fan {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new(self.id, "asks legs at once")
            .accepts::<Order>()
            .emits::<Scatter>()
            .emits::<Done>()
            .handler_deadline(Duration::from_mins(10))
    }

    async fn handle(&self, _message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let requests: Vec<Request> = LEGS
            .iter()
            .zip(self.legs_ms)
            .map(|(leg, wait_ms)| Request::new(leg.0, &Scatter { wait_ms: *wait_ms }))
            .collect();
        let gather = Gather::all().deadline(self.deadline).partial(true);
        let gathered = cx.ask_all(&requests, gather).await?;
        let count = u32::try_from(gathered.arrived.len()).unwrap_or(0);
        Ok(cx.reply(&Done { count }).await?)
    }
}

/// Waits as long as it is told to, then answers.
pub(super) struct Leg(&'static str);

/// The three legs.
pub(super) const LEGS: &[Leg] = &[Leg("bench_leg_1"), Leg("bench_leg_2"), Leg("bench_leg_3")];

#[async_trait]
impl Agent for Leg {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new(self.0, "waits, then answers")
            .accepts::<Scatter>()
            .emits::<Done>()
            .handler_deadline(Duration::from_millis(2 * NEVER_MS))
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let scatter: Scatter = message.decode()?;
        cx.sleep(Duration::from_millis(scatter.wait_ms)).await?;
        Ok(cx.reply(&Done { count: 1 }).await?)
    }
}

/// Three legs of 50 ms.
pub(super) const FAN_OUT: Fan =
    Fan { id: "bench_fan", legs_ms: &[50, 50, 50], deadline: Duration::from_secs(5) };

/// Two legs of 50 ms and one that is dead, with 200 ms to wait.
pub(super) const DEAD_LEG: Fan = Fan {
    id: "bench_dead_leg",
    legs_ms: &[50, 50, NEVER_MS],
    deadline: Duration::from_millis(200),
};

/// Waits in a gather for one leg that never answers: two activations, the fewest that can park.
pub(super) const PARKED: Fan =
    Fan { id: "bench_parked", legs_ms: &[NEVER_MS], deadline: Duration::from_millis(NEVER_MS) };

/// Three legs that take an hour: at work for as long as a process lives.
pub(super) const LONG_FAN: Fan = Fan {
    id: "bench_long",
    legs_ms: &[NEVER_MS, NEVER_MS, NEVER_MS],
    deadline: Duration::from_millis(NEVER_MS),
};

/// A conversation to be held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct Turns {
    pub(super) turns: u32,
    pub(super) bytes: usize,
}

impl Payload for Turns {
    const KIND: &'static str = "bench.turns";
}

/// Says one thing after the other to the listener.
pub(super) struct Talker;

/// The one that talks.
pub(super) const TURNS: Talker = Talker;

#[async_trait]
impl Agent for Talker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("bench_turns", "holds a conversation")
            .accepts::<Turns>()
            .emits::<Load>()
            .emits::<Done>()
            .handler_deadline(Duration::from_mins(10))
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Turns { turns, bytes } = message.decode()?;
        // Every other turn is the listener's.
        for turn in 0..turns / 2 {
            let _heard: Load = cx.ask("bench_listener", &Load::turn(turn, bytes)).await?;
        }
        Ok(cx.reply(&Done { count: turns }).await?)
    }
}

/// Hears what is said.
pub(super) struct Listener;

/// The one that listens.
pub(super) const LISTENER: Listener = Listener;

#[async_trait]
impl Agent for Listener {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("bench_listener", "listens").accepts::<Load>().emits::<Load>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let heard: Load = message.decode()?;
        Ok(cx.reply(&Load::turn(u32::MAX, heard.text.len())).await?)
    }
}

/// Sends money, which needs a human.
pub(super) struct Payer;

/// The one that pays.
pub(super) const PAYER: Payer = Payer;

#[async_trait]
impl Agent for Payer {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("bench_payer", "sends money")
            .accepts::<Order>()
            .emits::<Done>()
            .uses("bench.wire")
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Order { count } = message.decode()?;
        cx.tool("bench.wire", serde_json::json!({ "count": count })).await?;
        Ok(cx.reply(&Done { count }).await?)
    }
}

/// Does nothing, once.
pub(super) struct Wire;

#[async_trait]
impl Tool for Wire {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Order>("bench.wire", "does nothing, once")
    }

    async fn call(&self, _attempt: Attempt<'_>) -> Result<serde_json::Value, ToolError> {
        Ok(serde_json::Value::Null)
    }
}
