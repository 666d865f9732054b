//! Charging runs and tool calls to the budgets of whoever asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use crate::ask::Refused;
use crate::budget::{self, BudgetId, Charge, Reserved};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::ids::{MessageId, RunId};
use crate::kernel::Shared;
use crate::principal::Principal;
use crate::run::Run;
use crate::tenant::Tenant;

/// How often charges are looked for that nobody settles, and approvals that nobody withdraws.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long a run may take to begin, or to settle what it cost once it has ended.
const SETTLED_AFTER: Duration = Duration::from_mins(2);

/// What a charge is for.
#[derive(Debug, Clone, Copy)]
struct Item {
    id: Uuid,
    run_id: RunId,
    amount_minor: u64,
}

impl Shared {
    /// Reserves; `None` if it costs nothing or nobody has a budget for it.
    async fn reserve(
        &self,
        principal: &Principal,
        item: Item,
    ) -> Result<Option<Reserved>, budget::Error> {
        let budgets = &principal.identity().budgets;
        if item.amount_minor == 0 || budgets.is_empty() {
            return Ok(None);
        }
        let charge = Charge {
            id: item.id,
            run_id: item.run_id,
            tenant: principal.tenant().clone(),
            // In order, so that no two wait for each other.
            budgets: budgets.iter().copied().collect::<Vec<BudgetId>>(),
            amount_minor: item.amount_minor,
            at: self.clock.now(),
        };
        self.budgets.reserve(&charge).await.map(Some)
    }

    /// Reserves the price of a run before it begins.
    pub(crate) async fn reserve_run(
        &self,
        principal: &Principal,
        run_id: RunId,
    ) -> Result<(), Refused> {
        let price_minor = self.prices.run_minor;
        let item = Item { id: run_id.0, run_id, amount_minor: price_minor };
        match self.reserve(principal, item).await {
            Ok(Some(Reserved::Short { left_minor })) => {
                Err(Refused::Budget { price_minor, left_minor })
            }
            Ok(Some(Reserved::Yes) | None) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "nothing can be reserved");
                Err(Refused::Overloaded { limit: "budgets", retry_after_ms: 1_000 })
            }
        }
    }

    /// Gives back the price of a run that did not begin.
    pub(crate) async fn return_run(&self, principal: &Principal, run: RunId) {
        if self.prices.run_minor == 0 || principal.identity().budgets.is_empty() {
            return;
        }
        let returned = self.budgets.settle(run, run.0, 0).await;
        let closed = match returned {
            Ok(()) => self.budgets.close(run).await,
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::warn!(%run, %error, "what it did not cost is given back later");
        }
    }

    /// Settles, now and then, what was left by processes that died, and withdraws it.
    pub(crate) async fn settle_what_is_left(self: Arc<Self>) {
        loop {
            if let Err(error) = self.withdraw_what_is_left().await {
                tracing::warn!(%error, "approvals of ended runs show as pending for now");
            }
            if let Err(error) = self.settle_once().await {
                tracing::warn!(%error, "what dead processes have reserved stays so for now");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    async fn settle_once(&self) -> Result<(), budget::Error> {
        let settled = i64::try_from(SETTLED_AFTER.as_micros()).unwrap_or(i64::MAX);
        let before = self.clock.now().as_micros().saturating_sub(settled);
        let before = Timestamp::from_micros(before);
        for (tenant, run) in self.budgets.open_runs(before).await? {
            if self.runs.contains_key(&run) {
                continue;
            }
            let found = self.run_index.get(&Tenant::on_record(tenant), run).await;
            let found = found.map_err(|error| budget::Error(error.to_string()))?;
            match found {
                // It never began, and so cost nothing.
                None => self.budgets.settle(run, run.0, 0).await?,
                Some(found) if found.ended_at.is_none() => continue,
                Some(_) => {}
            }
            self.budgets.close(run).await?;
        }
        Ok(())
    }
}

impl Run {
    /// Reserves the price of a tool call before it is made; gives the price and what is left of a
    /// budget that has too little.
    pub(crate) async fn reserve_call(
        &self,
        call: MessageId,
        tool: &str,
    ) -> Result<Option<(u64, u64)>, Failure> {
        let price_minor = self.shared.prices.tool_minor(tool);
        let item = Item { id: call.0, run_id: self.id, amount_minor: price_minor };
        match self.shared.reserve(&self.principal, item).await {
            Ok(Some(Reserved::Short { left_minor })) => Ok(Some((price_minor, left_minor))),
            Ok(Some(Reserved::Yes) | None) => Ok(None),
            Err(error) => Err(Failure::Journal { reason: error.to_string() }),
        }
    }

    /// Gives back the price of a call of which it is certain that it did not happen.
    pub(crate) async fn return_call(&self, call: MessageId, tool: &str) {
        let is_free = self.shared.prices.tool_minor(tool) == 0;
        if is_free || self.principal.identity().budgets.is_empty() {
            return;
        }
        if let Err(error) = self.shared.budgets.settle(self.id, call.0, 0).await {
            tracing::warn!(run = %self.id, %error, "a call that did not happen is charged");
        }
    }

    /// Settles what the run has cost; nothing, if not even its request was let through.
    pub(crate) async fn settle_charges(&self, is_denied: bool) {
        if self.principal.identity().budgets.is_empty() {
            return;
        }
        let nothing_done = is_denied && self.messages.load(Ordering::Relaxed) < 2;
        let returned = if nothing_done {
            self.shared.budgets.settle(self.id, self.id.0, 0).await
        } else {
            Ok(())
        };
        let closed = match returned {
            Ok(()) => self.shared.budgets.close(self.id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::warn!(run = %self.id, %error, "what it cost is settled later");
        }
    }
}
