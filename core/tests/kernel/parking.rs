//! Runs that wait for long: they hold no memory, survive their process, and go on in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::context::Request;
use genie_core::ids::RunId;
use genie_core::journal::Entry;
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::outcome::Outcome;
use genie_core::tap::Event;
use genie_core::{Agent, Ask, Failure, Gather};

use crate::disk::{Disk, Fault, Mount, Op};
use crate::life::{BEGIN, ending, live, over, start, verified};
use crate::{Answer, Desk, Present, Question, agent, answer, millis, question, slow, spec};

const DAY: Duration = Duration::from_hours(24);

/// Sleeps for as many days as it is told.
fn sleeper(present: &Arc<AtomicUsize>) -> &'static dyn Agent {
    let present = present.clone();
    agent(spec("sleeper"), move |message, cx| {
        let present = Present::new(&present);
        Box::pin(async move {
            let _present = present;
            let asked: Question = message.decode()?;
            let days: u32 = asked.text.parse().unwrap();
            cx.sleep(DAY * days).await?;
            Ok(cx.reply(&answer(format!("slept {days}"))).await?)
        })
    })
}

fn for_months(mount: &Arc<Mount>, life: u64, agents: &[&'static dyn Agent]) -> Options {
    let limits = Limits { run_deadline: DAY * 60, ..Limits::default() };
    Options { limits, ..over(mount, life, agents) }
}

/// When the run ended, in milliseconds from the begin of the first life.
fn ended_ms(disk: &Disk) -> u64 {
    let ended = disk.records().into_iter().find_map(|record| match &record.entry {
        Entry::Outcome { at, .. } => Some(*at),
        _ => None,
    });
    ended.unwrap().micros_since(*BEGIN) / 1_000
}

#[test]
fn a_run_that_sleeps_for_a_month_is_nowhere_but_on_disk_and_wakes_in_time() {
    for restarts in [0, 1] {
        let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
        live(&disk, Fault::None, async |mount| {
            let desk = start(for_months(&mount, 0, &[sleeper(&present)])).await;
            let ask = Ask::new("sleeper", &question("30"));
            let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
            tokio::time::sleep(millis(100)).await;
            assert!(disk.is_parked(running.run_id));
            assert_eq!(desk.kernel.runs_in_flight(), 0);
            assert_eq!(present.load(Ordering::Relaxed), 0, "its handler stays in memory");
            if restarts == 0 {
                desk.ended_alone(&disk).await;
                assert_eq!(running.outcome().await.name(), "completed", "nobody was told");
            }
        })
        .lived();
        for life in 1..=restarts {
            live(&disk, Fault::None, async |mount| {
                let desk = start(for_months(&mount, life, &[sleeper(&present)])).await;
                desk.kernel.caught_up().await;
                assert_eq!(desk.kernel.runs_in_flight(), 0, "it was woken before its time");
                desk.ended_alone(&disk).await;
                desk.kernel.drain().await;
            })
            .lived();
        }
        verified(&disk);
        assert_eq!(ending(&disk, disk.runs()[0]), "completed {\"text\":\"slept 30\"}");
        let late = ended_ms(&disk) - u64::try_from((DAY * 30).as_millis()).unwrap();
        assert!(late < 50, "{late} ms late after {restarts} restarts");
    }
}

#[test]
fn a_run_whose_deadline_passes_while_it_sleeps_expires_at_its_deadline() {
    for deadline_us in [60_000_000, 60_000_400, 7_123_456] {
        let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
        live(&disk, Fault::None, async |mount| {
            let desk = start(for_months(&mount, 0, &[sleeper(&present)])).await;
            let ask = Ask::new("sleeper", &question("30"));
            let outcome = desk.outcome(ask.within(Duration::from_micros(deadline_us))).await;
            assert_eq!(outcome.name(), "expired");
            assert_eq!(desk.kernel.drain().await, 0);
        })
        .lived();
        verified(&disk);
        let late = ended_ms(&disk) - deadline_us / 1_000;
        assert!(late <= 2, "{late} ms after a deadline of {deadline_us} µs");
    }
}

#[test]
fn a_gather_keeps_its_deadline_while_its_run_is_parked() {
    for (restarts, days) in [(0, 2), (1, 2), (0, 9), (1, 9)] {
        let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
        let front = || {
            agent(spec("front"), move |_, cx| {
                Box::pin(async move {
                    let legs = [
                        Request::new("sleeper", &question(&days.to_string())),
                        Request::new("quick", &question("x")),
                    ];
                    let gather = Gather::all().partial(true).deadline(DAY * 5);
                    let gathered = cx.ask_all(&legs, gather).await?;
                    let said = gathered.arrived.iter();
                    let said = said.map(|reply| reply.decode::<Answer>().map(|said| said.text));
                    let said: Result<Vec<String>, _> = said.collect();
                    let missing = gathered.missing.iter().map(|leg| leg.reason.clone());
                    let missing: Vec<String> = missing.collect();
                    Ok(cx.reply(&answer(format!("{:?} {missing:?}", said?))).await?)
                })
            })
        };
        let agents = || [front(), sleeper(&present), slow("quick", millis(1))];
        live(&disk, Fault::None, async |mount| {
            let desk = start(for_months(&mount, 0, &agents())).await;
            let ask = Ask::new("front", &question("x"));
            let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
            tokio::time::sleep(millis(100)).await;
            assert!(disk.is_parked(running.run_id));
            assert_eq!(present.load(Ordering::Relaxed), 0);
            if restarts == 0 {
                desk.ended_alone(&disk).await;
            }
        })
        .lived();
        for life in 1..=restarts {
            live(&disk, Fault::None, async |mount| {
                let desk = start(for_months(&mount, life, &agents())).await;
                desk.ended_alone(&disk).await;
                desk.kernel.drain().await;
            })
            .lived();
        }
        verified(&disk);
        let said = if days < 5 {
            "[\\\"slept 2\\\", \\\"quick: x\\\"] []"
        } else {
            "[\\\"quick: x\\\"] [\\\"it did not answer in time\\\"]"
        };
        let expected = format!("completed {{\"text\":\"{said}\"}}");
        assert_eq!(ending(&disk, disk.runs()[0]), expected, "{restarts} restarts, {days} days");
        let on_time = u64::try_from((DAY * days.min(5)).as_millis()).unwrap();
        let late = ended_ms(&disk) - on_time;
        assert!(late < 50, "{late} ms late after {restarts} restarts");
    }
}

#[test]
fn many_parked_runs_all_go_on_although_there_is_room_for_few() {
    let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
    live(&disk, Fault::None, async |mount| {
        let made = for_months(&mount, 0, &[sleeper(&present)]);
        let limits = Limits { runs_in_flight_max: 4, ..made.limits };
        let desk = start(Options { limits, ..made }).await;
        for _ in 0..50 {
            let ask = Ask::new("sleeper", &question("1"));
            let _running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
            tokio::time::sleep(millis(20)).await;
        }
        assert_eq!(desk.kernel.runs_in_flight(), 0);
        desk.ended_alone(&disk).await;
        assert_eq!(desk.kernel.drain().await, 0);
    })
    .lived();
    verified(&disk);
    assert_eq!(disk.runs().len(), 50);
    assert!(disk.runs().iter().all(|run| ending(&disk, *run).starts_with("completed")));
}

/// Sleeps for a day, and then works for so long.
fn early_riser(work: Duration) -> &'static dyn Agent {
    agent(spec("riser"), move |_, cx| {
        Box::pin(async move {
            cx.sleep(DAY).await?;
            tokio::time::sleep(work).await;
            Ok(cx.reply(&answer("up")).await?)
        })
    })
}

#[test]
fn no_more_runs_are_taken_up_than_there_is_room_for_and_each_as_soon_as_there_is() {
    let (disk, agents) = (Arc::new(Disk::default()), [early_riser(millis(50))]);
    // Half of them are parked when their process dies, the others at work.
    live(&disk, Fault::None, async |mount| {
        let desk = start(for_months(&mount, 0, &agents)).await;
        for _ in 0..10 {
            let ask = Ask::new("riser", &question("x"));
            let _running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        }
        tokio::time::sleep(millis(24 * 3_600_000 - 1)).await;
        for _ in 0..10 {
            let ask = Ask::new("riser", &question("x"));
            let _running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        }
        tokio::time::sleep(millis(10)).await;
    })
    .lived();
    live(&disk, Fault::None, async |mount| {
        let made = for_months(&mount, 48, &agents);
        let limits = Limits { runs_in_flight_max: 4, ..made.limits };
        let desk = start(Options { limits, ..made }).await;
        tokio::time::sleep(millis(1)).await;
        let (claims, began) = (mount.count(Op::Claim), tokio::time::Instant::now());
        assert_eq!(desk.kernel.runs_in_flight(), 4);
        tokio::time::sleep(millis(40)).await;
        assert_eq!(mount.count(Op::Claim), claims, "it claims although there is no room");
        while !disk.all_ended() {
            assert!(desk.kernel.runs_in_flight() <= 4, "{}", desk.kernel.runs_in_flight());
            assert!(began.elapsed() < millis(500), "places stay empty:\n{}", disk.unended());
            tokio::time::sleep(millis(1)).await;
        }
        desk.kernel.caught_up().await;
        assert_eq!(desk.kernel.drain().await, 0);
    })
    .lived();
    verified(&disk);
}

#[test]
fn a_place_that_becomes_free_is_for_what_is_due_before_it_is_for_new_runs() {
    let disk = Arc::new(Disk::default());
    let agents = [early_riser(millis(1)), slow("slow", millis(2_000))];
    live(&disk, Fault::None, async |mount| {
        let made = for_months(&mount, 0, &agents);
        let limits = Limits { runs_in_flight_max: 1, ..made.limits };
        let desk = start(Options { limits, ..made }).await;
        let ask =
            async |agent| desk.kernel.ask(&desk.principal, Ask::new(agent, &question("x"))).await;
        let due = ask("riser").await.unwrap().run_id;
        tokio::time::sleep(millis(24 * 3_600_000 - 1_000)).await;
        ask("slow").await.unwrap();
        tokio::time::sleep(millis(1_900)).await;
        // A task of its own, which may find the place before the keeper does.
        let (kernel, principal) = (desk.kernel.clone(), desk.principal.clone());
        let mut asking = tokio::task::JoinSet::new();
        asking.spawn(async move {
            for asked in 1.. {
                if kernel.ask(&principal, Ask::new("slow", &question("x"))).await.is_ok() {
                    return asked;
                }
                match asked % 50 {
                    0 => tokio::time::sleep(millis(1)).await,
                    _ => tokio::task::yield_now().await,
                }
            }
            0
        });
        let asked = asking.join_next().await.unwrap().unwrap();
        assert!(asked > 100, "there was room all the time");
        assert!(disk.outcome(due).is_some(), "a new run was let in before it");
        desk.kernel.idle().await;
        desk.kernel.drain().await;
    })
    .lived();
    verified(&disk);
}

/// On real threads, where the run leaves the memory while it is cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_cancelled_while_it_leaves_the_memory_ends_all_the_same() {
    let asker = agent(spec("asker"), |_, cx| {
        Box::pin(async move { Ok(cx.reply(&answer("approval")).await?) })
    });
    let desk = Desk::with(&[asker]).await;
    for number in 0..2_000 {
        let mut tap = desk.system().tap();
        let ask = Ask::new("asker", &question("x"));
        let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        loop {
            let Some(Event::Recorded(record)) = tap.next().await.unwrap() else { continue };
            if matches!(record.entry, Entry::RunWaiting { .. }) {
                break;
            }
        }
        desk.kernel.cancel(&desk.principal, running.run_id, "enough").await;
        let outcome = tokio::time::timeout(Duration::from_secs(10), running.outcome()).await;
        let outcome = outcome.map_err(|_| format!("run {number} was not cancelled")).unwrap();
        assert_eq!(outcome.name(), "cancelled", "run {number}: {outcome:?}");
    }
    desk.close().await;
}

/// A life in which a run is parked; the run.
fn parked_by(disk: &Arc<Disk>, present: &Arc<AtomicUsize>) -> RunId {
    live(disk, Fault::None, async |mount| {
        let desk = start(for_months(&mount, 0, &[sleeper(present)])).await;
        let ask = Ask::new("sleeper", &question("1"));
        let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        tokio::time::sleep(millis(100)).await;
        assert!(disk.is_parked(running.run_id));
    })
    .lived();
    disk.runs()[0]
}

/// Whatever becomes of its records, a run that cannot go on holds nobody up and is nobody's.
#[test]
fn a_run_that_cannot_be_read_is_let_go_of_and_tried_again_only_now_and_then() {
    let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
    let run = parked_by(&disk, &present);
    disk.damage(run);
    live(&disk, Fault::None, async |mount| {
        let agents = [sleeper(&present), slow("quick", millis(1))];
        let desk = start(for_months(&mount, 24, &agents)).await;
        desk.kernel.caught_up().await;
        // Long after it was due.
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(disk.is_parked(run), "somebody owns it");
        assert!((5..=12).contains(&disk.released()), "{} times", disk.released());
        assert_eq!(desk.kernel.runs_in_flight(), 0);
        let outcome = desk.outcome(Ask::new("quick", &question("x"))).await;
        assert_eq!(outcome.name(), "completed", "it holds up another");
        desk.kernel.drain().await;
    })
    .lived();
    assert!(disk.outcome(run).is_none());
}

#[test]
fn a_run_whose_records_were_erased_is_ended_as_such_and_counts_what_it_had() {
    let (disk, present) = (Arc::new(Disk::default()), Arc::new(AtomicUsize::new(0)));
    let run = parked_by(&disk, &present);
    disk.erase(run);
    live(&disk, Fault::None, async |mount| {
        let desk = start(for_months(&mount, 24, &[sleeper(&present)])).await;
        desk.kernel.caught_up().await;
        desk.kernel.idle().await;
        desk.kernel.drain().await;
    })
    .lived();
    assert_eq!(disk.released(), 0);
    let outcome = disk.outcome(run).unwrap();
    assert!(matches!(&*outcome, Outcome::Failed { cause: Failure::Erased }), "{outcome:?}");
    verified(&disk);
}
