//! The contract of documents: whoever may have one gets it, nobody else, on every store.

use std::sync::Arc;

use genie_core::blob::Blob;
use genie_core::clock::Timestamp;
use genie_core::document::{Document, DocumentId, Documents, MemoryDocuments, Query};
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::tenant;

pub(crate) fn document(tenant: &str, subject: &str, number: u128) -> (Document, Vec<u8>) {
    let content = format!("content {number}").into_bytes();
    let document = Document {
        id: DocumentId(Uuid::from_u128(number)),
        tenant: crate::scribe::tenant(tenant),
        subject: subject.into(),
        blob: Blob::of(&content),
        created_at: Timestamp::from_micros(7),
    };
    (document, content)
}

async fn contract(documents: Arc<dyn Documents>) {
    let first = document("acme", "asha", 1);
    let all = [
        first.clone(),
        document("acme", "asha", 2),
        document("acme", "ravi", 3),
        document("globex", "asha", 4),
    ];
    for (one, content) in &all {
        assert!(documents.put(one, content, 2).await.unwrap());
    }
    let (third, content) = document("acme", "asha", 5);
    assert!(!documents.put(&third, &content, 2).await.unwrap(), "two are enough");

    let id = first.0.id;
    for (name, subject, found) in [
        ("acme", None, true),
        ("acme", Some("asha"), true),
        ("acme", Some("ravi"), false),
        ("globex", None, false),
        ("globex", Some("asha"), false),
        ("", None, false),
    ] {
        let got = documents.get(&tenant(name), subject, id).await.unwrap();
        assert_eq!(got, found.then(|| first.clone()), "{name} {subject:?}");
        if !found {
            assert!(!documents.delete(&tenant(name), subject, id).await.unwrap());
        }
    }
    let list = async |name: &str, query: Query| -> Vec<u128> {
        let found = documents.list(&tenant(name), &query).await.unwrap();
        found.iter().map(|one| one.id.0.as_u128()).collect()
    };
    let every = || Query { limit: 10, ..Query::default() };
    assert_eq!(list("acme", every()).await, [3, 2, 1]);
    assert_eq!(list("acme", Query { limit: 2, ..every() }).await, [3, 2]);
    assert_eq!(list("acme", Query { subject: Some("asha".to_owned()), ..every() }).await, [2, 1]);
    let before = Some(DocumentId(Uuid::from_u128(3)));
    assert_eq!(list("acme", Query { before, ..every() }).await, [2, 1]);
    assert_eq!(list("globex", every()).await, [4]);
    assert!(documents.delete(&tenant("acme"), Some("asha"), id).await.unwrap());
    assert!(!documents.delete(&tenant("acme"), Some("asha"), id).await.unwrap());
    assert_eq!(documents.get(&tenant("acme"), None, id).await.unwrap(), None);
    assert!(documents.put(&third, &content, 2).await.unwrap(), "there is room again");
}

#[tokio::test]
async fn documents_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryDocuments::default())).await;
}

async fn documents_in_a_database_keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.documents.clone()).await;
    store.close().await.unwrap();
}

on_each_database!(documents_in_a_database_keep_the_contract);
