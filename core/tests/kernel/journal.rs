//! The journal as observers and verifiers see it.

use std::sync::Arc;

use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Entry, Error, Record, entry_shown, verify};
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::tap::{Event, Tap, outcome_of, shown};
use serde_json::json;

use crate::flow::Echo;
use crate::{Desk, options};

/// The next `count` records that a tap shows.
async fn take(tap: &mut Tap, count: usize) -> Vec<Arc<Record>> {
    let mut records = Vec::new();
    while records.len() < count {
        match tap.next().await.unwrap().unwrap() {
            Event::Recorded(record) => records.push(record),
            Event::Ephemeral(_) => {}
        }
    }
    records
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_lags_catches_up_without_loss_or_repeat() {
    let desk = Desk::limited(&[&Echo], Limits { tap_events_max: 4, ..Limits::default() }).await;
    desk.ask("echo", "before").await;
    let before = usize::try_from(desk.kernel.head().seq).unwrap();
    let mut tap = desk.system().tap();
    for round in 0..5 {
        for _ in 0..=round {
            desk.ask("echo", "x").await;
        }
        let all = desk.records().await;
        // Half of what there is, then the rest, so that it lags again and again.
        let from = before + round * (round + 1) / 2 * 7;
        let half = take(&mut tap, (all.len() - from) / 2).await;
        let rest = take(&mut tap, all.len() - from - half.len()).await;
        let seen: Vec<u64> = half.iter().chain(&rest).map(|record| record.seq).collect();
        let expected: Vec<u64> = all[from..].iter().map(|record| record.seq).collect();
        assert_eq!(seen, expected, "round {round}");
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_when_what_it_missed_is_no_longer_kept() {
    let limits = Limits { tap_events_max: 4, ..Limits::default() };
    let journal = Arc::new(MemoryJournal::keeping(5));
    let desk = Desk::of(Options { limits, journal, ..options(&[&Echo]) }).await;
    let mut tap = desk.system().tap();
    for _ in 0..3 {
        desk.ask("echo", "x").await;
    }
    let first = desk.kernel.head().seq - 4;
    let missed = tap.next().await;
    assert!(matches!(missed, Err(Error::Pruned { first: kept }) if kept == first), "{missed:?}");
    desk.kernel.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_replaced_as_a_whole_does_not_have_the_kept_head() {
    let (desk, other) = (Desk::with(&[&Echo]).await, Desk::with(&[&Echo]).await);
    desk.ask("echo", "the truth").await;
    other.ask("echo", "a fiction").await;
    let (kept, forged) = (desk.kernel.head(), other.file().await);
    assert!(verify::verify(forged.as_slice(), None).is_ok());
    let fault = verify::verify(forged.as_slice(), Some(kept)).unwrap_err();
    assert_eq!(fault.record, kept.seq);
    desk.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_observer_is_shown_reads_back_as_it_was() {
    let desk = Desk::limited(&[&Echo], Limits::default()).await;
    desk.ask("echo", "x").await;
    let records = desk.records().await;
    let outcome = outcome_of(&records).unwrap();
    for record in &records {
        if matches!(record.entry, Entry::Message { .. }) {
            // Shown with its verdict.
            continue;
        }
        let data = shown(&record.entry, Some(&outcome));
        let read = entry_shown(&data).unwrap();
        assert_eq!(shown(&read, None), data);
        if let (Entry::Verdict { message, .. }, Some(fields)) = (&read, data["message"].as_object())
        {
            let message = message.as_ref().unwrap();
            let mut without = data.clone();
            without["message"].as_object_mut().unwrap().remove("payload");
            let read = entry_shown(&without).unwrap();
            let Entry::Verdict { message: Some(read), .. } = read else { panic!("{read:?}") };
            assert_eq!((read.id(), read.payload().text()), (message.id(), "null"));
            assert!(fields.contains_key("payload"));
        }
    }
    let erased = json!({ "type": "message", "run_id": records[0].entry.run_id(),
                         "body_sha256": records[0].hash });
    assert_eq!(shown(&entry_shown(&erased).unwrap(), None), erased);
    assert!(entry_shown(&json!({ "type": "later" })).is_err());
    desk.close().await;
}
