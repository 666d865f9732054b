//! The payer: checks a payment and has the bank make it.

use std::time::Duration;

use genie_core::label::Classification;
use genie_core::tool::Effects;
use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, Risk, async_trait};
use serde_json::json;

use super::SCOPE;
use super::messages::{Done, Requested};

/// The tool that pays, where each order is booked.
const TRANSFER: &str = "payment.transfer";
/// The tool that pays, where each idempotency key is booked once.
const TRANSFER_KEYED: &str = "payment.transfer_keyed";

/// Makes payments.
pub(crate) struct Payer;

#[async_trait]
impl Agent for Payer {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("payer", "checks a payment and makes it")
            .accepts::<Requested>()
            .emits::<Done>()
            .uses(TRANSFER)
            .uses(TRANSFER_KEYED)
            .risk(Risk::High)
            .cleared_for(Classification::Confidential)
            .requires_scope(SCOPE)
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Requested { payee, amount_minor, reason, effects, delay_ms } = message.decode()?;
        if amount_minor <= 0 {
            let problem = format!("{amount_minor} paise cannot be paid; give a positive amount");
            return Err(AgentError::new(problem));
        }
        if delay_ms > 0 {
            cx.sleep(Duration::from_millis(delay_ms)).await?;
        }
        let tool = match effects {
            Effects::Idempotent => TRANSFER_KEYED,
            Effects::Once => TRANSFER,
            Effects::None => return Err(AgentError::new("a payment has effects; say which")),
        };
        let order = json!({ "payee": payee, "amount_minor": amount_minor, "reason": reason });
        let booked = cx.tool(tool, order).await?;
        // A human who found out that it happened may know nothing more.
        let reference = booked["reference"].as_str().map(str::to_owned);
        Ok(cx.reply(&Done { payee, amount_minor, reference }).await?)
    }
}
