//! What the worker runs: an agent that does a bit of everything, and tools whose effects outlive
//! the process.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use genie_core::context::Request;
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use genie_core::{Agent, AgentError, AgentSpec, Context, Gather, Governed, Payload, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Asks for one piece of work.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    pub(crate) number: u64,
}

impl Payload for Order {
    const KIND: &'static str = "order.placed";
}

/// Part of the work.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Part {
    number: u64,
}

impl Payload for Part {
    const KIND: &'static str = "part.asked";
}

/// What a part gave.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PartDone {
    sum: u64,
}

impl Payload for PartDone {
    const KIND: &'static str = "part.done";
}

/// The answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Delivered {
    number: u64,
    sum: u64,
    drawn: u64,
}

impl Payload for Delivered {
    const KIND: &'static str = "order.delivered";
}

pub(crate) struct Clerk;

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("clerk", "Does a bit of everything.")
            .accepts::<Order>()
            .emits::<Part>()
            .emits::<Delivered>()
            .uses("book.note")
            .uses("book.pay")
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Order { number } = message.decode()?;
        let drawn = cx.random()? % 1_000;
        let kept = cx.store(Arc::new(vec![number, drawn])).await?;
        let parts = [
            Request::new("helper", &Part { number }),
            Request::new("helper", &Part { number: number + 1 }),
        ];
        let gathered = cx.ask_all(&parts, Gather::all()).await?;
        let mut sum = 0;
        for part in &gathered.arrived {
            sum += part.decode::<PartDone>()?.sum;
        }
        cx.tool("book.note", json!({ "number": number })).await?;
        cx.sleep(Duration::from_millis(number % 30)).await?;
        cx.tool("book.pay", json!({ "number": number })).await?;
        let kept: Arc<Vec<u64>> = cx.load(&kept).await?;
        if **kept != [number, drawn] {
            return Err(AgentError::new("what was drawn and what was stored differ"));
        }
        Ok(cx.reply(&Delivered { number, sum, drawn }).await?)
    }
}

pub(crate) struct Helper;

#[async_trait]
impl Agent for Helper {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("helper", "Does a part.").accepts::<Part>().emits::<PartDone>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Part { number } = message.decode()?;
        // Two messages of one run come here: the second adds to what the first has left.
        let seen = cx.state::<u64>();
        *seen += number;
        let sum = *seen;
        Ok(cx.reply(&PartDone { sum }).await?)
    }
}

/// The arguments of both tools.
#[derive(Debug, Deserialize, JsonSchema)]
struct Entry {
    number: u64,
}

/// Writes a line into a book that nobody takes back. The world outside, for this test.
pub(crate) struct Book {
    pub(crate) name: &'static str,
    pub(crate) effects: Effects,
    pub(crate) file: PathBuf,
}

#[async_trait]
impl Tool for Book {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Entry>(self.name, "Writes into a book.").effects(self.effects)
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let Entry { number } = attempt.read()?;
        append(&self.file, &format!("{} {number}", attempt.idempotency_key));
        // Time to be killed in, between the effect and its record.
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(json!({ "noted": number }))
    }
}

/// Writes one line at once: a kill leaves all of it or nothing.
pub(crate) fn append(file: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
