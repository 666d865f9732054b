//! What the payer is asked and what it answers.

use genie_core::Payload;
use genie_core::tool::Effects;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A payment to make, from whoever asks to the payer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// Who is to get it.
    #[schemars(length(min = 1, max = 200))]
    pub payee: String,
    /// How much, in paise.
    pub amount_minor: i64,
    /// What for.
    #[schemars(length(max = 200))]
    pub reason: String,
    /// What a repetition would do at the bank: `once` means that it pays again.
    pub effects: Effects,
    /// How long the payer thinks about it, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

/// A payment that was made, from the payer to whoever asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Who got it.
    pub payee: String,
    /// How much, in paise.
    pub amount_minor: i64,
    /// What the bank calls it, as far as anyone knows.
    pub reference: Option<String>,
}

impl Payload for Requested {
    const KIND: &'static str = "payment.requested";
}
impl Payload for Done {
    const KIND: &'static str = "payment.done";
}
