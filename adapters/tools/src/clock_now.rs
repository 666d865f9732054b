//! The tool `clock.now`: the time of day.

use std::fmt;
use std::sync::Arc;

use genie_core::async_trait;
use genie_core::clock::Clock;
use genie_core::label::Classification;
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Tells the time.
pub struct ClockNow {
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ClockNow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClockNow")
    }
}

impl ClockNow {
    /// Tells the time of this clock.
    #[must_use]
    pub fn by(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl Tool for ClockNow {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Nothing>("clock.now", "tells the date and time in UTC")
            .effects(Effects::None)
            .cleared_for(Classification::Confidential)
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let Nothing {} = attempt.read()?;
        Ok(json!({ "utc": self.clock.now() }))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::clock::{SteadyClock, Timestamp};
    use genie_core::ids::RunId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_tells_the_time_of_its_clock() {
        let now = Timestamp::from_micros(1_795_229_969_500_000);
        let clock = ClockNow::by(Arc::new(SteadyClock::starting_at(now)));
        let (arguments, run_id) = (json!({}), RunId(uuid::Uuid::nil()));
        let attempt = Attempt {
            arguments: &arguments,
            idempotency_key: "k",
            run_id,
            tenant: &crate::trial::acme(),
            subject: "asha",
        };
        let told = clock.call(attempt).await.unwrap();
        assert_eq!(told, json!({ "utc": "2026-11-21T02:59:29.500000Z" }));
    }
}
