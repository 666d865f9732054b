//! The actors of one agent: its supervisor, and those that serve its activations.
//!
//! An actor that is done with an activation stands by for the next one, of whatever run: to start
//! and to bury an actor costs more than most handlers. Nothing goes over from one activation to
//! the next: what the agent keeps and what it has seen are dropped with the activation.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use crate::activation::{Activation, Private};
use crate::kernel::Shared;
use crate::limits::STANDBY_PER_AGENT_MAX;

/// What the actor of an agent is told.
pub(crate) enum Wake {
    /// There is something in the queue of its activation.
    Look,
    /// It is to serve this activation, in whose queue there is something.
    Serve(Activation),
}

/// One agent's supervisor, and the actors that stand by.
#[derive(Default)]
pub(crate) struct Crew {
    supervisor: RwLock<Option<ActorCell>>,
    standby: Mutex<Vec<ActorRef<Wake>>>,
}

impl Crew {
    /// Takes on a supervisor; those who stood by under the one before went with it.
    pub(crate) fn set_supervisor(&self, cell: ActorCell) {
        *self.supervisor.write().unwrap_or_else(PoisonError::into_inner) = Some(cell);
        self.standby.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Has an actor ready for this activation: one that stands by, or a new one. `None` if the
    /// agent has no supervisor, because everything is shutting down.
    pub(crate) async fn muster(&self, shared: &Arc<Shared>) -> Option<ActorRef<Wake>> {
        let ready = self.standby.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if ready.is_some() {
            return ready;
        }
        let supervisor = self.supervisor.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let server = Server { shared: shared.clone() };
        Actor::spawn_linked(None, server, (), supervisor).await.ok().map(|(actor, _)| actor)
    }

    /// Lets an actor stand by, or go if enough do.
    pub(crate) fn stand_down(&self, actor: ActorRef<Wake>) {
        let mut standby = self.standby.lock().unwrap_or_else(PoisonError::into_inner);
        if standby.len() < STANDBY_PER_AGENT_MAX {
            standby.push(actor);
        } else {
            drop(standby);
            actor.stop(None);
        }
    }
}

/// An actor that serves one activation after the other.
struct Server {
    shared: Arc<Shared>,
}

impl Actor for Server {
    type Msg = Wake;
    type State = Option<(Activation, Private)>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Wake>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(None)
    }

    async fn handle(
        &self,
        myself: ActorRef<Wake>,
        wake: Wake,
        serving: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Wake::Serve(activation) = wake {
            let private = activation.begin();
            *serving = Some((activation, private));
        }
        // A late look at an activation that was let go finds nothing to look at.
        let Some((activation, private)) = serving else { return Ok(()) };
        // Coerced, not converted: the supervisor must find the crash itself.
        activation.serve(private).await.map_err(|crash| crash as ActorProcessingErr)?;
        if activation.let_go(private) {
            let agent = activation.agent;
            *serving = None;
            self.shared.crew(agent).stand_down(myself);
        }
        Ok(())
    }
}
