//! What every store of blobs does, and what a database adds: each content once, found at once.

use std::sync::Arc;

use genie_core::blob::{Blob, Blobs, MemoryBlobs, Scope, Stored};
use genie_core::label::{Classification, Label, PERSONAL};

use crate::on_each_database;
use crate::place::{Place, quick};
use crate::scribe::run;

pub(crate) fn scope(tenant: &str, number: u128) -> Scope {
    Scope { tenant: crate::scribe::tenant(tenant), subject: "asha".into(), run: run(number) }
}

pub(crate) fn content(text: &str, label: Label) -> (Blob, Arc<Stored>) {
    let bytes = text.as_bytes();
    (Blob::of(bytes), Arc::new(Stored::new(bytes.into(), Arc::new(label))))
}

pub(crate) fn internal() -> Label {
    Label::new(Classification::Internal)
}

pub(crate) async fn contract(blobs: &dyn Blobs) {
    let scope = scope("acme", 1);
    let (blob, stored) = content("statement", internal());
    assert!(blobs.get(&scope, blob).await.unwrap().is_none());
    blobs.put(&scope, blob, stored).await.unwrap();
    let found = blobs.get(&scope, blob).await.unwrap().unwrap();
    assert_eq!((&*found.content, &*found.label), (&b"statement"[..], &internal()));
    // The more protective label is kept, and a less protective one changes nothing.
    for label in [Label::new(Classification::Public).with_category(PERSONAL), internal()] {
        blobs.put(&scope, blob, content("statement", label).1).await.unwrap();
        let found = blobs.get(&scope, blob).await.unwrap().unwrap();
        assert_eq!(*found.label, internal().with_category(PERSONAL));
    }
    assert!(blobs.get(&self::scope("acme", 2), blob).await.unwrap().is_none(), "another run");
}

#[tokio::test]
async fn blobs_in_memory_keep_the_contract() {
    contract(&MemoryBlobs::default()).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(&*store.blobs).await;
    store.close().await.unwrap();
}

async fn content_outlives_the_process_under_the_stricter_label(place: &Place) {
    let scope = scope("acme", 1);
    let (blob, stored) = content("statement", internal());
    for start in 0..3 {
        let store = place.own().await;
        if start == 1 {
            // The earlier label is known from the database alone.
            let label = Label::new(Classification::Public).with_category(PERSONAL);
            let stored = content("statement", label).1;
            store.blobs.put(&scope, blob, stored).await.unwrap();
        } else if start == 0 {
            store.blobs.put(&scope, blob, stored.clone()).await.unwrap();
        } else {
            let found = store.blobs.get(&scope, blob).await.unwrap().unwrap();
            assert_eq!(&*found.content, b"statement");
            assert_eq!(*found.label, internal().with_category(PERSONAL));
        }
        store.close().await.unwrap();
    }
}

async fn nobody_else_gets_at_content(place: &Place) {
    let store = place.own().await;
    let (blob, stored) = content("statement", internal());
    store.blobs.put(&scope("acme", 1), blob, stored).await.unwrap();
    let other = Scope { subject: "ravi".into(), ..scope("acme", 1) };
    for scope in [scope("other", 1), other, scope("acme", 2)] {
        assert!(store.blobs.get(&scope, blob).await.unwrap().is_none(), "{scope:?}");
        store.blobs.release(run(1));
        assert!(store.blobs.get(&scope, blob).await.unwrap().is_none(), "{scope:?}");
    }
    store.close().await.unwrap();
}

async fn the_same_content_is_kept_once_for_a_subject(place: &Place) {
    let store = place.own().await;
    let (blob, stored) = content(&"x".repeat(100_000), internal());
    for number in 0..50 {
        store.blobs.put(&scope("acme", number), blob, stored.clone()).await.unwrap();
        store.blobs.release(run(number));
    }
    store.close().await.unwrap();
    let store = place.own().await;
    for number in 0..50 {
        assert!(store.blobs.get(&scope("acme", number), blob).await.unwrap().is_some());
    }
    let stats = store.stats().await.unwrap();
    let bytes = stats.tables.iter().find(|table| table.name == "blobs").unwrap().bytes;
    assert!(bytes < 300_000, "{bytes} bytes for one content of 100,000");
    store.close().await.unwrap();
}

async fn a_small_memory_still_finds_everything(place: &Place) {
    let options = genie_store::Options { blob_cache_bytes_max: 1_000, ..quick() };
    let store = genie_store::open(&place.location, genie_store::Mode::Own, options).await.unwrap();
    let texts: Vec<String> = (0..100).map(|number| format!("{number:0400}")).collect();
    for text in &texts {
        let (blob, stored) = content(text, internal());
        store.blobs.put(&scope("acme", 1), blob, stored).await.unwrap();
        assert!(store.blobs.get(&scope("acme", 1), blob).await.unwrap().is_some());
    }
    for text in &texts {
        let (blob, _) = content(text, internal());
        let found = store.blobs.get(&scope("acme", 1), blob).await.unwrap().unwrap();
        assert_eq!(&*found.content, text.as_bytes());
    }
    store.close().await.unwrap();
}

async fn altered_content_is_noticed(place: &Place) {
    let store = place.own().await;
    let (blob, stored) = content("statement", internal());
    store.blobs.put(&scope("acme", 1), blob, stored).await.unwrap();
    store.close().await.unwrap();
    place.tamper("UPDATE blobs SET content = substr(content, 2)").await;
    let store = place.own().await;
    let error = store.blobs.get(&scope("acme", 1), blob).await.unwrap_err();
    assert!(error.to_string().contains("not as it was written"), "{error}");
    store.close().await.unwrap();
}

on_each_database!(
    keep_the_contract,
    content_outlives_the_process_under_the_stricter_label,
    nobody_else_gets_at_content,
    the_same_content_is_kept_once_for_a_subject,
    a_small_memory_still_finds_everything,
    altered_content_is_noticed,
);
