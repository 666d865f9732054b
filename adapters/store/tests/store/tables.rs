//! The tables: up, down and up again; old and new ones; what they cost.

use genie_store::{Location, Mode, OpenError, migrate, open, revert, status};

use crate::on_each_database;
use crate::place::{Place, quick};
use crate::scribe::{Scribe, ended, run, started};

async fn each_step_can_be_taken_back(place: &Place) {
    let up = migrate(&place.location).await.unwrap();
    assert!(!up.is_empty() && up.iter().all(|step| step.applied && step.known));
    let first = place.tables().await;
    assert!(first.iter().any(|table| table.contains("packs")));
    for count in 1..=up.len() {
        let down = revert(&place.location, count).await.unwrap();
        assert_eq!(down.iter().filter(|step| step.applied).count(), up.len() - count);
        if count == up.len() {
            assert_eq!(place.tables().await, Vec::<String>::new());
        }
        assert_eq!(migrate(&place.location).await.unwrap(), up);
        assert_eq!(place.tables().await, first);
    }
    assert_eq!(status(&place.location).await.unwrap(), up);
}

async fn who_looks_wants_the_tables_as_this_program_has_them(place: &Place) {
    place.own().await.close().await.unwrap();
    revert(&place.location, 1).await.unwrap();
    let error = open(&place.location, Mode::Look, quick()).await.unwrap_err();
    assert!(matches!(error, OpenError::Older(_)), "{error}");
    // Who owns brings them up to date.
    place.own().await.close().await.unwrap();
    place.look().await.close().await.unwrap();
    place.tamper("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").await;
    let error = open(&place.location, Mode::Look, quick()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer(_)), "{error}");
    let error = open(&place.location, Mode::Own, quick()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer(_)), "{error}");
}

async fn the_statistics_count_what_is_there(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    for number in 1..=10 {
        scribe.append(&*store.journal, &started(run(number), "acme")).unwrap();
        scribe.append(&*store.journal, &ended(run(number))).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.runs, 10);
    let packs = stats.tables.iter().find(|table| table.name == "packs").unwrap();
    let (bytes, counted) = stats
        .entries
        .iter()
        .fold((0, 0), |(bytes, counted), kind| (bytes + kind.bytes, counted + kind.records));
    assert_eq!(counted, 20);
    assert!(packs.bytes >= bytes && bytes > 2_000, "{stats:?}");
    let kinds: Vec<&str> = stats.entries.iter().map(|kind| &*kind.name).collect();
    assert_eq!(kinds, ["run_started", "outcome"]);
    assert!(stats.bytes_per_run() >= packs.bytes / 10);
    store.close().await.unwrap();
}

on_each_database!(
    each_step_can_be_taken_back,
    who_looks_wants_the_tables_as_this_program_has_them,
    the_statistics_count_what_is_there,
);

#[tokio::test]
async fn there_is_nothing_to_look_at_before_anything_was_written() {
    let place = Place::sqlite();
    let error = open(&place.location, Mode::Look, quick()).await.unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
}

#[test]
fn a_password_is_not_shown() {
    let location = Location::Postgres("postgres://u:s3cret@db:5432/genie?sslmode=require".into());
    assert_eq!(location.to_string(), "postgres://db:5432/genie");
    assert_eq!(format!("{location:?}"), "postgres://db:5432/genie");
}
