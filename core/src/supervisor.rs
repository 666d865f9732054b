//! The supervision tree: `Genie` → one supervisor per agent → one activation per (agent, run).
//!
//! A supervisor decides what a crash means: a restart after a wait, or the end of the attempts,
//! which is a typed failure like any other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use crate::activation::Crash;
use crate::failure::Failure;
use crate::journal::Entry;
use crate::kernel::Shared;
use crate::limits;

/// The root of the tree; restarts an agent's supervisor that dies.
pub(crate) struct Genie {
    pub(crate) shared: Arc<Shared>,
}

impl Actor for Genie {
    type Msg = ();
    type State = HashMap<ActorId, usize>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<()>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(HashMap::new())
    }

    async fn post_start(
        &self,
        myself: ActorRef<()>,
        children: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        for agent in 0..self.shared.registry.entries().len() {
            children.insert(self.supervise(&myself, agent).await?, agent);
        }
        self.shared.ready.notify_one();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        children: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let (SupervisionEvent::ActorFailed(dead, _) | SupervisionEvent::ActorTerminated(dead, ..)) =
            event
        else {
            return Ok(());
        };
        if let Some(agent) = children.remove(&dead.get_id()) {
            tracing::error!(agent = %self.shared.registry.entry(agent).id, "supervisor died");
            children.insert(self.supervise(&myself, agent).await?, agent);
        }
        Ok(())
    }
}

impl Genie {
    async fn supervise(&self, myself: &ActorRef<()>, agent: usize) -> Result<ActorId, SpawnErr> {
        let supervisor = Supervisor { shared: self.shared.clone(), agent };
        let (actor, _) = Actor::spawn_linked(None, supervisor, (), myself.get_cell()).await?;
        self.shared.crew(agent).set_supervisor(actor.get_cell());
        Ok(actor.get_id())
    }
}

/// Watches over the activations of one agent.
struct Supervisor {
    shared: Arc<Shared>,
    agent: usize,
}

impl Actor for Supervisor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            match error.downcast::<Crash>() {
                Ok(crash) => self.shared.tasks.spawn(recover(*crash)),
                Err(error) => {
                    let agent = &self.shared.registry.entry(self.agent).id;
                    tracing::error!(%agent, %error, "activation died outside its handler");
                }
            }
        }
        Ok(())
    }
}

/// Starts the activation again, or gives up on the message and goes on with the next.
async fn recover(crash: Crash) {
    let Crash { run, slot, agent, mut delivery, reason, untouched, replied } = crash;
    let entry = run.shared.registry.entry(agent);
    if untouched && !replied && delivery.restarts < entry.spec.restarts_max {
        delivery.restarts += 1;
        entry.counters.restarts.fetch_add(1, Ordering::Relaxed);
        let backoff = limits::RESTART_BACKOFF * 2_u32.saturating_pow(delivery.restarts - 1);
        let restarted = Entry::Restarted {
            run_id: run.id,
            message_id: delivery.message.id(),
            agent: entry.id.clone(),
            restart: delivery.restarts,
            backoff_ms: u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX),
            reason,
        };
        // A run that has ended needs no restart; the requeue below finds that out.
        let _ = run.shared.writer.append(&run.tally, [restarted]);
        tokio::time::sleep(backoff).await;
        let _ = run.carry_out(run.requeue(slot, delivery)).await;
        return;
    }
    let failure = Failure::Panicked { agent: entry.id.clone(), reason };
    if replied {
        run.incident(&entry.id, &delivery, &failure);
        run.note(&entry.id, failure);
    } else {
        run.failed(agent, delivery, failure).await;
    }
    let _ = run.carry_out(run.actor_died(slot)).await;
    run.finished_one(slot);
}
