//! The contract of accounts and sessions: one account for an address, tokens that renew once, and
//! sessions that end.

use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::identity::MemoryAccounts;
use genie_core::identity::accounts::{
    Account, AccountId, Accounts, PasswordHash, Session, SessionId,
};
use genie_core::principal::Identity;
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn account(number: u128, email: &str) -> Account {
    Account {
        id: AccountId(Uuid::from_u128(number)),
        email: email.into(),
        name: "Asha".into(),
        password: PasswordHash("$argon2id$…".into()),
        identity: Identity {
            tenant: "acme".to_owned(),
            subject: Uuid::from_u128(number).to_string(),
            roles: ["user".to_owned()].into(),
            ..Identity::default()
        },
        created_at: at(1),
        disabled_at: None,
    }
}

fn session(number: u128, of: &Account) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(number)),
        account: of.id,
        generation: 0,
        created_at: at(2),
        expires_at: at(100 + i64::try_from(number).unwrap()),
        ended_at: None,
    }
}

async fn contract(accounts: Arc<dyn Accounts>) {
    let (asha, ravi) = (account(1, "asha@example.com"), account(2, "ravi@example.com"));
    assert!(accounts.create(&asha).await.unwrap());
    assert!(accounts.create(&ravi).await.unwrap());
    let twin = account(3, "asha@example.com");
    assert!(!accounts.create(&twin).await.unwrap(), "an address has one account");
    assert_eq!(accounts.account(twin.id).await.unwrap(), None);
    assert_eq!(accounts.claimed("asha@example.com").await.unwrap(), Some(asha.clone()));
    assert_eq!(accounts.claimed("nobody@example.com").await.unwrap(), None);

    let mut changed = Account { name: "Asha Rao".into(), disabled_at: Some(at(9)), ..asha.clone() };
    changed.identity.roles.insert("admin".to_owned());
    changed.password = PasswordHash("another".into());
    assert!(accounts.change(&changed).await.unwrap());
    assert_eq!(accounts.account(asha.id).await.unwrap(), Some(changed.clone()));
    assert!(!accounts.change(&twin).await.unwrap());

    // A token renews once, whoever is quicker, and only while its session is open.
    let one = session(1, &asha);
    accounts.open(&one, 3).await.unwrap();
    assert_eq!(accounts.session(one.id).await.unwrap(), Some((one, changed.clone())));
    assert!(!accounts.renew(one.id, 1).await.unwrap());
    let both = tokio::join!(accounts.renew(one.id, 0), accounts.renew(one.id, 0));
    assert_eq!(u8::from(both.0.unwrap()) + u8::from(both.1.unwrap()), 1);
    assert_eq!(accounts.session(one.id).await.unwrap().unwrap().0.generation, 1);
    assert!(accounts.end(one.id, at(5)).await.unwrap());
    assert!(!accounts.end(one.id, at(6)).await.unwrap());
    assert!(!accounts.renew(one.id, 1).await.unwrap());
    assert_eq!(accounts.session(one.id).await.unwrap().unwrap().0.ended_at, Some(at(5)));

    // The oldest go, of this account only.
    accounts.open(&session(9, &ravi), 3).await.unwrap();
    for number in 2..=4 {
        accounts.open(&session(number, &asha), 3).await.unwrap();
    }
    let there = async |number: u128| {
        let found = accounts.session(SessionId(Uuid::from_u128(number))).await.unwrap();
        found.map(|(session, _)| session.ended_at)
    };
    assert_eq!((there(1).await, there(2).await, there(9).await), (None, Some(None), Some(None)));
    accounts.end_all(asha.id, at(7)).await.unwrap();
    assert_eq!((there(2).await, there(4).await), (Some(Some(at(7))), Some(Some(at(7)))));
    assert_eq!(there(9).await, Some(None));
    accounts.forget(at(104)).await.unwrap();
    assert_eq!((there(3).await, there(4).await), (None, Some(Some(at(7)))));
}

#[tokio::test]
async fn accounts_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryAccounts::default())).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.accounts.clone()).await;
    store.close().await.unwrap();
}

on_each_database!(keep_the_contract);
