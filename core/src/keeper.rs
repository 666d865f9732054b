//! Keeps what waits: parks runs, wakes those that are due or decided, takes over orphaned ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::approval::{self, Approval, Status};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::ids::RunId;
use crate::journal::{self, Entry, Record};
use crate::kernel::Shared;
use crate::outcome::Outcome;
use crate::recovery;
use crate::run::Run;
use crate::tenant::Tenant;

/// What is kept in memory of a run that has left it.
pub(crate) struct Parked {
    /// Whose run it is.
    pub(crate) tenant: Tenant,
    /// Its records, if the journal may forget them.
    pub(crate) records: Option<Vec<Arc<Record>>>,
    /// Who waits for its outcome.
    pub(crate) outcome: Option<oneshot::Sender<Arc<Outcome>>>,
}

impl Parked {
    /// Whether somebody still waits for its outcome.
    fn is_waited_for(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| !outcome.is_closed())
    }

    /// Whether anything is lost if it is not kept.
    fn is_of_use(&self) -> bool {
        self.records.is_some() || self.is_waited_for()
    }
}

/// Wait before the store is asked again after it failed.
pub(crate) const STORE_BACKOFF: Duration = Duration::from_millis(500);

/// Most runs whose end is looked up at once for those who wait for it.
const LOOKUPS_MAX: usize = 1_024;

/// Most approvals of ended runs that are withdrawn in one go; the next is a minute later at most.
const WITHDRAWN_MAX: usize = 1_024;

/// Wait before a run that could not go on is claimed again: long enough that it costs nothing,
/// short enough that it goes on soon after what was wrong has been put right.
pub(crate) const RELEASE_BACKOFF: Duration = Duration::from_mins(1);

impl Shared {
    /// Lets go of a run that is parked.
    pub(crate) fn park(&self, run: RunId, parked: Parked, wake_at: Timestamp) {
        if parked.is_of_use() {
            self.parked.insert(run, parked);
        }
        // First, so that whoever no longer finds it at work can claim it.
        self.run_index.parked(run, wake_at);
        if self.runs.remove(&run).is_some() {
            if self.writer.store().is_durable() {
                self.blobs.release(run);
            }
            self.vacate();
        }
        self.woken.notify_one();
    }

    /// Gives back a place among the runs in flight.
    pub(crate) fn vacate(&self) {
        let before = self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            self.idle.notify_waiters();
        }
        let is_free = before <= self.limits.runs_in_flight_max;
        if is_free && self.starved.load(Ordering::SeqCst) {
            self.woken.notify_one();
        }
    }

    /// How many runs may be taken up now. While it is none, the next place is kept for the keeper.
    fn room(&self) -> usize {
        loop {
            let taken = self.in_flight.load(Ordering::SeqCst);
            let room = self.limits.runs_in_flight_max.saturating_sub(taken);
            // Looked at again once that is known: a place may just have become free.
            if self.starved.swap(room == 0, Ordering::SeqCst) == (room == 0) {
                return room;
            }
        }
    }

    /// Brings back the parked run that waits for this decision, if it is ours to bring back.
    pub(crate) async fn wake(self: &Arc<Self>, decided: &Approval) {
        if self.is_draining() {
            return;
        }
        let run = decided.run_id;
        match self.run_index.claim_run(run).await {
            Ok(true) => self.bring_back(run, Why::Decided(decided)).await,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%run, %error, "the run cannot be claimed");
                // A decision makes it due, so the keeper finds it as soon as the store answers.
                self.woken.notify_one();
            }
        }
    }

    /// Ends every parked run of which nothing outlives the process.
    pub(crate) async fn end_all_parked(self: &Arc<Self>, outcome: &Outcome) {
        let mut parked: Vec<RunId> = self.parked.iter().map(|parked| *parked.key()).collect();
        parked.sort_unstable();
        for run in parked {
            self.end_parked(run, outcome.clone()).await;
        }
    }

    /// Ends a run that was on its way out when its outcome was decided, wherever it is now.
    pub(crate) async fn end_after_all(self: &Arc<Self>, run: RunId, outcome: Outcome) {
        loop {
            match self.run_index.claim_run(run).await {
                Ok(true) => {
                    if let Some(run) = self.restored(run).await {
                        run.finish(outcome, None).await;
                    }
                    return;
                }
                Ok(false) => {
                    // The keeper, or another process, was quicker.
                    let live = self.runs.get(&run).map(|run| run.clone());
                    if let Some(run) = live {
                        run.end(outcome).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%run, %error, "the run cannot be claimed");
                    tokio::time::sleep(STORE_BACKOFF).await;
                }
            }
        }
    }

    /// Does something that must not stop halfway, also if whoever asked for it goes away: a run
    /// that was claimed and not started again would be nobody's.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.tasks.spawn(async move {
            let _ = sender.send(work.await);
        });
        done.await.ok()
    }

    /// Ends a parked run; `false` if it is not ours to end.
    pub(crate) async fn end_parked(self: &Arc<Self>, run: RunId, outcome: Outcome) -> bool {
        let shared = self.clone();
        let ended = self.to_its_end(async move { shared.claim_and_end(run, outcome).await });
        ended.await.unwrap_or(false)
    }

    async fn claim_and_end(self: Arc<Self>, run: RunId, outcome: Outcome) -> bool {
        match self.run_index.claim_run(run).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::error!(%run, %error, "the run cannot be claimed");
                return false;
            }
        }
        if let Some(run) = self.restored(run).await {
            run.finish(outcome, None).await;
        }
        true
    }

    /// Goes on with a run that has been claimed, or ends it if it is doomed.
    async fn bring_back(self: &Arc<Self>, id: RunId, why: Why<'_>) {
        let Some(run) = self.restored(id).await else { return };
        let found;
        let doomed = match why {
            Why::Due { doomed } => doomed,
            Why::Decided(approval) => {
                run.decided(approval);
                // Looked up once the run is where whoever cancels it finds it. If the store does
                // not answer, the keeper ends it later.
                found = self.run_index.to_cancel().await.unwrap_or_default();
                &found
            }
        };
        match doomed.iter().find(|(doomed, _)| *doomed == id) {
            Some((_, reason)) => {
                run.finish(Outcome::Cancelled { reason: reason.clone() }, None).await;
            }
            None => run.take_up().await,
        }
    }

    /// The run as its records tell it, in memory again but not yet at work. One whose records were
    /// erased is ended: nobody can go on with it, and nobody should try for ever.
    async fn restored(self: &Arc<Self>, id: RunId) -> Option<Arc<Run>> {
        let leaving = self.runs.get(&id).map(|run| run.clone());
        if let Some(leaving) = leaving
            && !leaving.has_left().await
        {
            return None;
        }
        let parked = self.parked.remove(&id).map(|(_, parked)| parked);
        let (records, outcome) =
            parked.map_or((None, None), |parked| (parked.records, parked.outcome));
        let records = match records {
            Some(records) => Ok(records),
            None => self.read_run(id).await,
        };
        let erased =
            matches!(&records, Ok(records) if records.iter().any(|it| it.entry.is_erased()));
        let restored = match records {
            Ok(records) => recovery::recover(self, id, records, outcome),
            Err(error) => Err(error.to_string()),
        };
        match restored {
            Ok(run) => {
                self.in_flight.fetch_add(1, Ordering::SeqCst);
                self.runs.insert(id, run.clone());
                if erased {
                    run.finish(Outcome::Failed { cause: Failure::Erased }, None).await;
                    return None;
                }
                Some(run)
            }
            Err(problem) => {
                tracing::error!(run = %id, problem, "the run cannot go on; it is let go of");
                self.release(id).await;
                None
            }
        }
    }

    /// Lets go of a claimed run that cannot go on here: another process, or another version of
    /// this one, may be able to.
    async fn release(&self, id: RunId) {
        let until = self.clock.now().plus(RELEASE_BACKOFF);
        loop {
            let Err(error) = self.run_index.release(id, until).await else { return };
            tracing::error!(run = %id, %error, "the run cannot be let go of");
            if self.is_draining() {
                // What this process owns is free once it has ended.
                return;
            }
            tokio::time::sleep(STORE_BACKOFF).await;
        }
    }

    /// The records of a run that was claimed, and so is nobody else's to read: it is tried until
    /// the store answers or the kernel stops.
    async fn read_run(&self, id: RunId) -> Result<Vec<Arc<Record>>, journal::Error> {
        loop {
            match self.writer.store().read_run(id).await {
                Err(error @ journal::Error::Unreadable(_)) if !self.is_draining() => {
                    tracing::error!(run = %id, %error, "the run cannot be read");
                    tokio::time::sleep(STORE_BACKOFF).await;
                }
                read => return read,
            }
        }
    }

    /// Withdraws the approvals that ended runs have left: their processes may have died, or not
    /// have reached the store, before they could.
    pub(crate) async fn withdraw_what_is_left(&self) -> Result<(), approval::Error> {
        let left = self.approvals.of_ended_runs(WITHDRAWN_MAX).await?;
        for withdrawn in left.iter().filter_map(|found| found.ended(Status::Withdrawn)) {
            let tenant = Tenant::on_record(withdrawn.tenant.clone());
            // Whoever was quicker has withdrawn it too, or decided it in vain.
            self.approvals.swap(&tenant, &withdrawn).await?;
        }
        Ok(())
    }

    /// Tells whoever waits here for a run how it ended in another process. What cannot be read now
    /// is looked up again.
    async fn ended_elsewhere(&self, id: RunId) {
        let Ok(records) = self.writer.store().read_run(id).await else { return };
        let ended = records.iter().rev().find_map(|record| match &record.entry {
            Entry::Outcome { outcome, .. } => Some(outcome.clone()),
            Entry::Erased { kind, .. } if &**kind == "outcome" => {
                Some(Arc::new(Outcome::Failed { cause: Failure::Erased }))
            }
            _ => None,
        });
        if let (Some(outcome), Some((_, parked))) = (ended, self.parked.remove(&id))
            && let Some(sender) = parked.outcome
        {
            // Whoever waited may just have gone.
            let _ = sender.send(outcome);
        }
    }

    /// Tells the run that a human has decided, wherever it is.
    pub(crate) async fn decided(self: &Arc<Self>, approval: &Approval) {
        if !approval.status.is_final() {
            return;
        }
        let live = self.runs.get(&approval.run_id).map(|run| run.clone());
        if let Some(run) = live {
            run.decided(approval);
        } else {
            let (shared, decided) = (self.clone(), approval.clone());
            self.to_its_end(async move { shared.wake(&decided).await }).await;
        }
    }
}

/// Takes up what nobody works on, and then whatever becomes due, until the kernel stops.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut lookups = Lookups::default();
    loop {
        let pause = match round(&shared, &mut lookups).await {
            Ok(Round::Again) => continue,
            Ok(Round::Until(until)) => until,
            Err(error) => {
                tracing::error!(%error, "parked runs cannot be looked up");
                Some(STORE_BACKOFF)
            }
        };
        if !shared.starved.load(Ordering::SeqCst) {
            shared.caught_up.cancel();
        }
        match pause {
            None => shared.woken.notified().await,
            Some(pause) => {
                let _ = tokio::time::timeout(pause, shared.woken.notified()).await;
            }
        }
    }
}

/// Why a run is brought back.
enum Why<'a> {
    Due {
        /// The runs that someone has asked to cancel.
        doomed: &'a [(RunId, String)],
    },
    Decided(&'a Approval),
}

enum Round {
    Again,
    Until(Option<Duration>),
}

/// Looks up for whoever waits here for a parked run whether another process has ended it.
#[derive(Default)]
struct Lookups {
    /// When it was last done.
    at: Option<Instant>,
    /// Of many who wait, each has its turn.
    turn: usize,
}

impl Lookups {
    /// Looks them up once in `every`, and says when it is time again. Parked runs that nobody waits
    /// for any more are forgotten.
    async fn tell(
        &mut self,
        shared: &Arc<Shared>,
        every: Duration,
    ) -> Result<Duration, crate::runs::Error> {
        let left = self.at.map_or(Duration::ZERO, |at| every.saturating_sub(at.elapsed()));
        if !left.is_zero() {
            return Ok(left);
        }
        shared.parked.retain(|_, parked| parked.is_of_use());
        let parked = shared.parked.iter().filter(|parked| parked.is_waited_for());
        let mut waiting: Vec<RunId> = parked.map(|parked| *parked.key()).collect();
        let turn = self.turn % waiting.len().max(1);
        waiting.rotate_left(turn);
        waiting.truncate(LOOKUPS_MAX);
        self.turn = turn + waiting.len();
        if !waiting.is_empty() {
            for run in shared.run_index.progress(&waiting).await? {
                if run.has_ended {
                    shared.ended_elsewhere(run.run_id).await;
                }
            }
        }
        self.at = Some(Instant::now());
        Ok(every)
    }
}

/// Claims what is due, as far as there is room.
async fn round(shared: &Arc<Shared>, lookups: &mut Lookups) -> Result<Round, crate::runs::Error> {
    let index = &shared.run_index;
    if shared.is_draining() {
        return Ok(Round::Until(None));
    }
    let (room, now) = (shared.room(), shared.clock.now());
    let claimed = if room == 0 { Vec::new() } else { index.claim(now, room).await? };
    let (doomed, others): (Vec<_>, Vec<_>) =
        index.to_cancel().await?.into_iter().partition(|(run, _)| claimed.contains(run));
    for (run, reason) in others {
        // One that is not here yet is told in the next round.
        shared.cancel(run, reason).await;
    }
    if !claimed.is_empty() {
        for run in claimed {
            shared.bring_back(run, Why::Due { doomed: &doomed }).await;
        }
        return Ok(Round::Again);
    }
    let poll = match index.poll_every() {
        Some(every) => Some(lookups.tell(shared, every).await?),
        None => None,
    };
    // Without room, what is due waits until a place is given back.
    let due = if room == 0 { None } else { index.next_due().await? };
    let due = due.map(|due| Duration::from_micros(due.micros_since(shared.clock.now()).max(1_000)));
    Ok(Round::Until(due.into_iter().chain(poll).min()))
}
