//! Tool calls: judged like any message, and entered into the effect ledger before they are made.
//!
//! The ledger says of each call: intended, then done, failed or unknown. What is intended is
//! durable
//! before the tool is called; what is unknown is never repeated on our own account if it must
//! happen once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use serde_json::Value;

use super::Context;
use crate::approval::{Resolution, Status};
use crate::bus::{Draft, Judged, Target};
use crate::failure::Failure;
use crate::governed::Governed;
use crate::ids::{MessageId, RunId};
use crate::journal::Entry;
use crate::journal::steps::{Effect, Pattern, Route};
use crate::limits;
use crate::payload::{Body, Payload};
use crate::policy::{Decision, panic_text};
use crate::run::Run;
use crate::tool::{Attempt, Effects, ToolCall, ToolError, ToolResult};

/// One call on its way through the ledger.
struct Ledger {
    tool: usize,
    call: Governed,
    key: String,
    arguments: Value,
    attempt: u32,
    /// How many unknown attempts were put to a human.
    doubts: u32,
}

impl Ledger {
    /// The message with what the current attempt gave.
    fn result_id(&self, run: RunId) -> MessageId {
        MessageId::derived(run, self.call.id(), self.attempt, 0)
    }
}

impl Context {
    /// Calls a tool and gives what it gave.
    ///
    /// # Errors
    /// [`Failure::BadArguments`] before anything is recorded; a denial or a rejection by whoever
    /// had to approve; [`Failure::Tool`] if it did not happen.
    pub async fn tool(&mut self, name: &str, arguments: Value) -> Result<Value, Failure> {
        let run = self.run.clone();
        let Some(tool) = run.shared.tools.resolve(name) else {
            return Err(Failure::NoRecipient { to: format!("tool `{name}`") });
        };
        let spec = &self.entry().spec;
        if !spec.every_tool && !spec.tools.contains(&name) {
            let reason = format!("its spec does not declare that it uses `{name}`");
            return Err(Failure::Failed { agent: self.entry().id.clone(), reason });
        }
        let entry = run.shared.tools.entry(tool);
        entry
            .validate(&arguments)
            .map_err(|reason| Failure::BadArguments { tool: entry.spec.name.into(), reason })?;
        let effects = entry.spec.effects;
        let call = ToolCall { tool: name.to_owned(), effects, arguments };
        let body = Body::of(&call)?;
        let route = (self.next_step(), 0);
        let draft = self.draft((Target::Tool(tool), Pattern::Tool), ToolCall::KIND, body, route);
        let passed = self.pass(draft).await;
        let (call, _) = passed?;
        // What policy has left of the arguments, which may be less.
        let arguments = call.decode::<ToolCall>()?.arguments;
        let key = call.id().to_string();
        let ledger = Ledger { tool, call, key, arguments, attempt: 0, doubts: 0 };
        self.settle(ledger).await
    }

    /// Brings a call to its end, from wherever the ledger says it is.
    async fn settle(&mut self, mut ledger: Ledger) -> Result<Value, Failure> {
        let id = ledger.call.id();
        let recorded = self.run.history.as_ref().and_then(|history| history.sent.get(&id));
        let recorded = recorded.map_or_else(Vec::new, |sent| sent.effects.clone());
        for effect in &recorded {
            match effect {
                Effect::Intent { attempt, .. } => ledger.attempt = *attempt,
                Effect::Unknown { .. } => ledger.doubts += 1,
                Effect::Unpaid { .. }
                | Effect::Done { .. }
                | Effect::Failed { .. }
                | Effect::Resolved { .. } => {}
            }
        }
        match recorded.last() {
            Some(Effect::Unpaid { price_minor, left_minor }) => {
                return Err(self.unpaid(&ledger, (*price_minor, *left_minor)));
            }
            Some(Effect::Done { result, .. }) => return self.result(*result),
            Some(Effect::Failed { reason }) => return Err(self.failed(&ledger, reason)),
            Some(Effect::Resolved { happened: true, result }) => return Ok(result.clone()),
            Some(Effect::Resolved { happened: false, .. }) => {
                return Err(self.failed(&ledger, DID_NOT_HAPPEN));
            }
            Some(Effect::Unknown { reason }) => {
                ledger.doubts -= 1;
                match self.doubt(&mut ledger, reason, true).await? {
                    None => {}
                    Some(settled) => return settled,
                }
            }
            Some(Effect::Intent { .. }) if self.answered(&ledger) => {
                let result = ledger.result_id(self.run.id);
                self.ledger(&ledger, Effect::Done { result, duration_us: 0 })?;
                return self.result(result);
            }
            Some(Effect::Intent { .. }) => {
                let once = self.run.shared.tools.entry(ledger.tool).spec.effects == Effects::Once;
                if once {
                    let reason = "the process stopped before the tool answered";
                    match self.doubt(&mut ledger, reason, false).await? {
                        None => {}
                        Some(settled) => return settled,
                    }
                }
            }
            None => {}
        }
        if self.delivery.again {
            return Err(Failure::RunEnded);
        }
        self.attempts(ledger).await
    }

    /// Whether the process stopped between what the tool gave and the entry that it did.
    fn answered(&self, ledger: &Ledger) -> bool {
        let result = ledger.result_id(self.run.id);
        let history = self.run.history.as_ref();
        let sent = history.and_then(|history| history.sent.get(&result));
        sent.is_some_and(|sent| sent.verdict.is_some())
    }

    /// Calls the tool until it gives something, or until that is no use or might do harm.
    async fn attempts(&mut self, mut ledger: Ledger) -> Result<Value, Failure> {
        let run = self.run.clone();
        if ledger.attempt == 0 {
            let tool = self.tool_name(&ledger);
            if let Some((price_minor, left_minor)) =
                run.reserve_call(ledger.call.id(), &tool).await?
            {
                self.ledger(&ledger, Effect::Unpaid { price_minor, left_minor })?;
                return Err(self.unpaid(&ledger, (price_minor, left_minor)));
            }
        }
        loop {
            let entry = run.shared.tools.entry(ledger.tool);
            let effects = entry.spec.effects;
            ledger.attempt += 1;
            let intent = Effect::Intent { key: ledger.key.clone(), attempt: ledger.attempt };
            let seq = self.ledger(&ledger, intent)?;
            if effects != Effects::None {
                // No durable record, no effect.
                let durable = self.run.shared.writer.store().durable(seq).await;
                durable.map_err(|error| Failure::Journal { reason: error.to_string() })?;
            }
            let began = tokio::time::Instant::now();
            let answer = Self::attempt(&run, &ledger).await;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let reason = match answer {
                Ok(output) => return self.done(&ledger, output, took),
                Err(ToolError::Failed(reason)) => {
                    run.return_call(ledger.call.id(), entry.spec.name).await;
                    self.ledger(&ledger, Effect::Failed { reason: reason.clone() })?;
                    return Err(self.failed(&ledger, &reason));
                }
                Err(ToolError::Unknown(reason)) => reason,
            };
            if effects == Effects::Once {
                match self.doubt(&mut ledger, &reason, false).await? {
                    None => continue,
                    Some(settled) => return settled,
                }
            }
            if ledger.attempt >= limits::TOOL_ATTEMPTS_MAX {
                self.ledger(&ledger, Effect::Failed { reason: reason.clone() })?;
                return Err(self.failed(&ledger, &reason));
            }
            let backoff = limits::TOOL_BACKOFF * 2_u32.saturating_pow(ledger.attempt - 1);
            tokio::time::sleep(backoff).await;
        }
    }

    /// One attempt; a panic or silence leaves open whether it happened.
    async fn attempt(run: &Run, ledger: &Ledger) -> Result<Value, ToolError> {
        let entry = run.shared.tools.entry(ledger.tool);
        let attempt = Attempt {
            arguments: &ledger.arguments,
            idempotency_key: &ledger.key,
            run_id: run.id,
            tenant: run.principal.tenant(),
            subject: run.principal.subject(),
        };
        let call = AssertUnwindSafe(entry.tool.call(attempt)).catch_unwind();
        match tokio::time::timeout(entry.spec.deadline, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(ToolError::Unknown(panic_text(panic.as_ref()))),
            Err(_) => {
                let deadline = entry.spec.deadline.as_millis();
                Err(ToolError::Unknown(format!("it did not answer within {deadline} ms")))
            }
        }
    }

    /// Puts an unknown effect to a human; `None` if it is to be called again.
    async fn doubt(
        &mut self,
        ledger: &mut Ledger,
        reason: &str,
        recorded: bool,
    ) -> Result<Option<Result<Value, Failure>>, Failure> {
        if self.delivery.again && !recorded {
            return Err(Failure::RunEnded);
        }
        if !recorded {
            self.ledger(ledger, Effect::Unknown { reason: reason.to_owned() })?;
        }
        ledger.doubts += 1;
        self.permit = None;
        let run = self.run.clone();
        // Zero was the request for the call itself, if there was one.
        let (status, _) = run.resolution(self.slot, &ledger.call, ledger.doubts, reason).await?;
        self.resume().await;
        match status {
            Status::Resolved { resolution: Resolution::Retry, .. } => Ok(None),
            Status::Resolved { resolution: Resolution::Happened, result } => {
                let resolved = Effect::Resolved { happened: true, result: result.clone() };
                self.ledger(ledger, resolved)?;
                Ok(Some(Ok(result)))
            }
            Status::Resolved { resolution: Resolution::DidNotHappen, .. } => {
                run.return_call(ledger.call.id(), &self.tool_name(ledger)).await;
                let resolved = Effect::Resolved { happened: false, result: Value::Null };
                self.ledger(ledger, resolved)?;
                Ok(Some(Err(self.failed(ledger, DID_NOT_HAPPEN))))
            }
            _ => Ok(Some(Err(self.failed(ledger, reason)))),
        }
    }

    /// Has the result judged, like everything that an agent gets.
    fn done(&mut self, ledger: &Ledger, output: Value, took: u64) -> Result<Value, Failure> {
        let entry = self.run.shared.tools.entry(ledger.tool);
        let body = Body::of(&ToolResult { tool: entry.spec.name.to_owned(), output })?;
        let id = ledger.result_id(self.run.id);
        let route = Route { pattern: Pattern::ToolResult, step: ledger.attempt, leg: 0 };
        let draft = Draft {
            id,
            route,
            cause: Some(ledger.call.id()),
            from: entry.address.clone(),
            to: Target::Agent(self.agent),
            kind: self.run.shared.kind_name(ToolResult::KIND),
            body,
            label: self.seen.clone(),
            hops: ledger.call.hops().saturating_add(1),
        };
        let judged = self.run.govern(draft);
        // It has happened, whatever policy says of the result.
        self.ledger(ledger, Effect::Done { result: id, duration_us: took })?;
        match judged? {
            Judged::Fresh(message) | Judged::Recalled(message) => self.output(&message),
            Judged::Held(held) => Err(unheld(&held.approval.policy, &held.approval.policy_version)),
        }
    }

    /// The result that is recorded.
    fn result(&mut self, id: MessageId) -> Result<Value, Failure> {
        let history = self.run.history.as_ref();
        let sent = history.and_then(|history| history.sent.get(&id));
        let refused = sent.and_then(|sent| {
            let verdict = sent.verdict.as_ref()?;
            let held = verdict.decision == Decision::RequireApproval;
            let held = held.then(|| unheld(&verdict.policy, &verdict.policy_version));
            held.or_else(|| verdict.denied().map(Failure::Denied))
        });
        match sent.and_then(crate::history::Sent::passed) {
            Some(message) => self.output(&message),
            None => Err(refused.unwrap_or_else(|| Failure::Journal {
                reason: format!("there is no record of result {id}"),
            })),
        }
    }

    fn output(&mut self, message: &Governed) -> Result<Value, Failure> {
        self.see(&message.message().label);
        Ok(message.decode::<ToolResult>()?.output)
    }

    fn ledger(&self, ledger: &Ledger, effect: Effect) -> Result<u64, Failure> {
        let entry = Entry::Effect {
            run_id: self.run.id,
            message_id: ledger.call.id(),
            tool: self.tool_name(ledger),
            at: self.run.shared.clock.now(),
            effect,
        };
        self.run.shared.writer.append(&self.run.tally, [entry])
    }

    fn tool_name(&self, ledger: &Ledger) -> Arc<str> {
        self.run.shared.tools.entry(ledger.tool).spec.name.into()
    }

    fn unpaid(&self, ledger: &Ledger, (price_minor, left_minor): (u64, u64)) -> Failure {
        Failure::BudgetExhausted { tool: self.tool_name(ledger), price_minor, left_minor }
    }

    fn failed(&self, ledger: &Ledger, reason: &str) -> Failure {
        Failure::Tool { tool: self.tool_name(ledger), reason: reason.to_owned() }
    }
}

/// What whoever called a tool is told when a policy wants a human to see the result.
fn unheld(policy: &Arc<str>, policy_version: &Arc<str>) -> Failure {
    Failure::Rejected {
        policy: policy.clone(),
        policy_version: policy_version.clone(),
        by: "nobody".into(),
        reason: "a result cannot wait for a human; let the call wait instead".into(),
    }
}

/// What whoever called a tool is told when a human has found out that nothing happened.
const DID_NOT_HAPPEN: &str = "a human has found out that it did not happen";
