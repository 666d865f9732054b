//! The contract of keys: kept once, found by their id, listed and revoked within their tenant.

use std::collections::BTreeSet;
use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::identity::accounts::AccountId;
use genie_core::identity::{Credential, Key, KeyId, KeyRing, Maker, MemoryKeys, Query, Quotas};
use genie_core::ids::SeededIds;
use genie_core::principal::{Allowed, Identity};
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::tenant;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

/// The key number `number`, made at that second, with the role.
pub(crate) fn key(number: i64, tenant: &str, subject: &str, role: &str) -> Key {
    let ids = SeededIds::new(number.unsigned_abs());
    let made = Credential::make(&ids, at(number));
    Key {
        id: made.id(),
        name: format!("key {number}").into(),
        identity: Identity {
            tenant: tenant.to_owned(),
            subject: subject.to_owned(),
            roles: [role.to_owned()].into(),
            scopes: ["finance:ask".to_owned()].into(),
            consents: [].into(),
            allowed: Allowed { tools: (number == 1).then(BTreeSet::new), ..Allowed::default() },
            ..Identity::default()
        },
        secret_sha256: made.secret_sha256(),
        created_by: "root".into(),
        budget_minor: (number == 3).then_some(12_345),
        quotas: Quotas {
            per_minute: (number == 1).then_some(u32::MAX),
            per_day: (number == 2).then_some(7),
        },
        maker: match number % 3 {
            0 => Maker::Operator,
            1 => Maker::Key(KeyId(Uuid::from_u128(7))),
            _ => Maker::Account(AccountId(Uuid::from_u128(8))),
        },
        created_at: at(number),
        expires_at: (number % 2 == 0).then(|| at(1_000)),
        revoked_at: None,
    }
}

fn ids(keys: &[Key]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

async fn contract(keys: Arc<dyn KeyRing>) {
    assert!(!keys.has_admin(at(0)).await.unwrap());
    let asha = [key(1, "acme", "asha", "user"), key(3, "acme", "asha", "user")];
    let ravi = key(2, "acme", "ravi", "user");
    let other = key(4, "globex", "asha", "user");
    for key in asha.iter().chain([&ravi, &other]) {
        keys.put(&tenant(&key.identity.tenant), key).await.unwrap();
    }
    // Nobody is let into a tenant by a key that is kept among another's.
    assert!(keys.put(&tenant("globex"), &key(5, "acme", "asha", "user")).await.is_err());
    // What is kept stays as it is.
    keys.put(&tenant("acme"), &Key { name: "another".into(), ..ravi.clone() }).await.unwrap();
    assert_eq!(keys.claimed(ravi.id).await.unwrap(), Some(ravi.clone()));
    assert_eq!(keys.claimed(key(9, "acme", "asha", "user").id).await.unwrap(), None);

    let all = || Query { limit: 10, ..Query::default() };
    let check = async |name: &str, query: Query, expected: &[&Key]| {
        let listed = keys.list(&tenant(name), &query).await.unwrap();
        let expected: Vec<KeyId> = expected.iter().map(|key| key.id).collect();
        assert_eq!(ids(&listed), expected, "{name}: {query:?}");
    };
    check("acme", all(), &[&asha[1], &ravi, &asha[0]]).await;
    check("globex", all(), &[&other]).await;
    check("nobody", all(), &[]).await;
    let of_asha = Query { subject: Some("asha".to_owned()), ..all() };
    check("acme", of_asha, &[&asha[1], &asha[0]]).await;
    check("acme", Query { before: Some(ravi.id), ..all() }, &[&asha[0]]).await;
    check("acme", Query { limit: 1, ..all() }, &[&asha[1]]).await;

    // Neither another tenant nor another subject revokes it, and nobody does twice.
    assert!(!keys.revoke(&tenant("globex"), None, ravi.id, at(5)).await.unwrap());
    assert!(!keys.revoke(&tenant("acme"), Some("asha"), ravi.id, at(5)).await.unwrap());
    assert!(keys.revoke(&tenant("acme"), Some("ravi"), ravi.id, at(5)).await.unwrap());
    assert!(!keys.revoke(&tenant("acme"), None, ravi.id, at(6)).await.unwrap());
    let revoked = keys.claimed(ravi.id).await.unwrap().unwrap();
    assert_eq!(revoked, Key { revoked_at: Some(at(5)), ..ravi });

    let admin = key(6, "acme", "root", "admin");
    keys.put(&tenant("acme"), &admin).await.unwrap();
    assert!(keys.has_admin(at(999)).await.unwrap());
    assert!(!keys.has_admin(at(1_000)).await.unwrap(), "it has expired by then");
    assert!(keys.revoke(&tenant("acme"), None, admin.id, at(7)).await.unwrap());
    assert!(!keys.has_admin(at(8)).await.unwrap());
}

#[tokio::test]
async fn keys_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryKeys::default())).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.keys.clone()).await;
    store.close().await.unwrap();
}

async fn outlive_the_process(place: &Place) {
    let kept = key(1, "acme", "asha", "admin");
    let store = place.own().await;
    store.keys.put(&tenant("acme"), &kept).await.unwrap();
    store.close().await.unwrap();
    let store = place.look().await;
    assert_eq!(store.keys.claimed(kept.id).await.unwrap(), Some(kept));
    store.close().await.unwrap();
}

on_each_database!(keep_the_contract, outlive_the_process);
