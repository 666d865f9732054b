//! The agents of a simulation: who they are and what each of their handlers happens to do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use genie_core::context::Request;
use genie_core::gather::Gathered;
use genie_core::ids::MessageId;
use genie_core::{Agent, AgentError, AgentSpec, Context, Failure, Gather, Governed};
use serde_json::json;

use super::Dice;
use crate::{Answer, Part, Present, Question, agent, answer, millis, part, question, spec};

const NAMES: [&str; 7] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6"];

/// The kinds that agents publish.
const PARTS: [&str; 3] = ["part.zero", "part.one", "part.two"];

/// One message that reached an agent, to be compared with the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) message: MessageId,
    pub(crate) by: &'static str,
}

/// What the agents of one simulation share.
pub(crate) struct World {
    seed: u64,
    pub(crate) names: Vec<&'static str>,
    /// For each agent the kinds that it accepts beside questions, and those that it collects.
    accepts: Vec<Vec<usize>>,
    collects: Vec<Vec<usize>>,
    calls: AtomicU64,
    /// Whether processes die, so that what a handler does must depend on its message alone.
    dies: bool,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) at_work: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn of(seed: u64, dice: &Dice, dies: bool) -> Arc<Self> {
        let names = NAMES[..dice.index(6) + 2].to_vec();
        let (mut accepts, mut collects) = (vec![Vec::new(); 7], vec![Vec::new(); 7]);
        for (accepts, collects) in accepts.iter_mut().zip(&mut collects) {
            for kind in 0..PARTS.len() {
                match dice.below(4) {
                    0 => accepts.push(kind),
                    1 => collects.push(kind),
                    _ => {}
                }
            }
        }
        let (calls, seen) = (AtomicU64::new(0), Mutex::default());
        let at_work = Arc::default();
        Arc::new(Self { seed, names, accepts, collects, calls, dies, seen, at_work })
    }

    pub(crate) fn agents(world: &Arc<Self>, dice: &Dice) -> Vec<&'static dyn Agent> {
        let made = |me: usize| {
            let world = world.clone();
            agent(world.spec(me, dice), move |message, cx| {
                Box::pin(handle(world.clone(), me, message, cx))
            })
        };
        (0..world.names.len()).map(made).collect()
    }

    fn spec(&self, me: usize, dice: &Dice) -> AgentSpec {
        let mut spec = spec(self.names[me]);
        if self.dies {
            spec = spec.uses("look").uses("put").uses("pay");
        }
        spec = spec
            .emits::<Part<0>>()
            .emits::<Part<1>>()
            .emits::<Part<2>>()
            .handler_deadline(millis(dice.between(5, 120)))
            .restarts_max(u32::try_from(dice.below(3)).unwrap())
            .concurrency_max(dice.index(4) + 1);
        for kind in &self.accepts[me] {
            spec = match kind {
                0 => spec.accepts::<Part<0>>(),
                1 => spec.accepts::<Part<1>>(),
                _ => spec.accepts::<Part<2>>(),
            };
        }
        for kind in &self.collects[me] {
            spec = match kind {
                0 => spec.collects::<Part<0>>(),
                1 => spec.collects::<Part<1>>(),
                _ => spec.collects::<Part<2>>(),
            };
        }
        if dice.chance(25) {
            spec = spec.reentrant();
        }
        if dice.chance(25) {
            spec = spec.capability("anything");
        }
        // Only to later agents that take the same kinds, so that fallbacks neither miss nor circle.
        let able =
            |other: &usize| self.accepts[me].iter().all(|kind| self.accepts[*other].contains(kind));
        match (me + 1..self.names.len()).find(able) {
            Some(fallback) if dice.chance(50) => spec.fallback(self.names[fallback]),
            _ => spec,
        }
    }

    fn saw(&self, me: usize, message: &Governed) {
        self.seen.lock().unwrap().push(Seen { message: message.id(), by: self.names[me] });
    }

    fn saw_all(&self, me: usize, gathered: &Gathered) {
        gathered.arrived.iter().for_each(|message| self.saw(me, message));
    }

    fn somebody(&self, dice: &Dice) -> &'static str {
        match dice.below(20) {
            0 => "nobody",
            1 => "anything",
            _ => self.names[dice.index(self.names.len())],
        }
    }
}

/// Panics without the hook, which would print a trace for each of thousands.
fn crash() -> ! {
    std::panic::resume_unwind(Box::new("the dice said so".to_owned()))
}

/// One handler: some steps, then one of many ends.
async fn handle(
    world: Arc<World>,
    me: usize,
    message: Governed,
    cx: &mut Context,
) -> Result<(), AgentError> {
    let _present = Present::new(&world.at_work);
    world.saw(me, &message);
    let call = if world.dies {
        message.id().0.as_u64_pair().1
    } else {
        world.calls.fetch_add(1, Ordering::Relaxed) + 1
    };
    let dice = Dice::new(world.seed ^ call.wrapping_mul(0x9fb2_1c65_1e98_df25));
    if dice.chance(6) {
        crash();
    }
    for _ in 0..dice.below(4) {
        let done = step(&world, me, &dice, cx).await;
        if let Err(failure) = done
            && dice.chance(50)
        {
            return Err(failure.into());
        }
    }
    match dice.below(100) {
        0..5 => crash(),
        5..10 => Err(AgentError::new("unlucky")),
        10..13 => std::future::pending().await,
        13..16 => Ok(()),
        end => {
            let replied = cx.reply(&answer(dice.text())).await;
            if end < 20 {
                crash();
            }
            match replied {
                Ok(()) | Err(Failure::NoRecipient { .. }) => Ok(()),
                Err(failure) => Err(failure.into()),
            }
        }
    }
}

fn gather(dice: &Dice) -> Gather {
    let gather = match dice.below(4) {
        0 => Gather::first(),
        1 => Gather::all().quorum(dice.index(3)),
        _ => Gather::all(),
    };
    let gather = gather.partial(dice.chance(60));
    if dice.chance(60) { gather.deadline(millis(dice.below(40))) } else { gather }
}

/// One thing that a handler can do.
async fn step(world: &World, me: usize, dice: &Dice, cx: &mut Context) -> Result<(), Failure> {
    match dice.below(20) {
        0..5 => {
            let asked = question(&dice.text());
            cx.ask::<Question, Answer>(world.somebody(dice), &asked).await.map(drop)
        }
        5..7 if world.dies => {
            let name = ["look", "put", "pay"][dice.index(3)];
            cx.tool(name, json!({ "amount": 1, "note": dice.text() })).await.map(drop)
        }
        5..7 => {
            let asked = question(&dice.text());
            let waiting = cx.ask::<Question, Answer>(world.somebody(dice), &asked);
            // Gives up by itself.
            let _ = tokio::time::timeout(millis(dice.below(15)), waiting).await;
            Ok(())
        }
        7..11 => {
            let requests: Vec<Request> = (0..dice.below(4))
                .map(|_| Request::new(world.somebody(dice), &question(&dice.text())))
                .collect();
            let gathered = cx.ask_all(&requests, gather(dice)).await?;
            world.saw_all(me, &gathered);
            Ok(())
        }
        11..14 => match dice.below(3) {
            0 => cx.publish(&part::<0>(&dice.text())).await.map(drop),
            1 => cx.publish(&part::<1>(&dice.text())).await.map(drop),
            _ => cx.publish(&part::<2>(&dice.text())).await.map(drop),
        },
        14..16 => {
            let kinds: Vec<&str> = world.collects[me].iter().map(|kind| PARTS[*kind]).collect();
            let gathered = cx.collect(&kinds, gather(dice)).await?;
            world.saw_all(me, &gathered);
            Ok(())
        }
        16 => cx.sleep(millis(dice.below(20))).await,
        17 => cx.now().and_then(|_| cx.random()).map(drop),
        18 => {
            let blob = cx.store(Arc::new(dice.text())).await?;
            cx.load::<String>(&blob).await.map(drop)
        }
        _ => {
            *cx.state::<u32>() += 1;
            cx.progress("one further");
            Ok(())
        }
    }
}
