//! The contract of accounts and sessions: one account for an address, tokens that renew once, and
//! sessions that end.

use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{
    Account, AccountId, Accounts, PasswordHash, Session, SessionId,
};
use genie_core::identity::{Credential, Key, Maker, MemoryAccounts, Quotas};
use genie_core::ids::SeededIds;
use genie_core::principal::Identity;
use genie_store::{EraseError, KeySource, OpenError, Opened, revert};
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::tenant;
use crate::sealing::{is_in, key};

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

pub(crate) fn account(number: u128, email: &str) -> Account {
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

pub(crate) fn session(number: u128, of: &Account) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(number)),
        account: of.id,
        generation: 0,
        created_at: at(2),
        expires_at: at(100 + i64::try_from(number).unwrap()),
        ended_at: None,
    }
}

/// A key that the account was used to make for its holder.
fn key_of(number: u64, of: &Account) -> Key {
    let made = Credential::make(&SeededIds::new(number), at(3));
    Key {
        id: made.id(),
        name: format!("the phone of {}", of.name).into(),
        identity: of.identity.clone(),
        secret_sha256: made.secret_sha256(),
        created_by: (&*of.identity.subject).into(),
        maker: Maker::Account(of.id),
        quotas: Quotas::default(),
        budget_minor: None,
        created_at: at(3),
        expires_at: None,
        revoked_at: None,
    }
}

async fn contract(accounts: Arc<dyn Accounts>) {
    let acme = tenant("acme");
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
    assert!(accounts.change(&acme, &changed).await.unwrap());
    assert_eq!(accounts.account(asha.id).await.unwrap(), Some(changed.clone()));
    assert!(!accounts.change(&acme, &twin).await.unwrap());

    // A token renews once, whoever is quicker, and only while its session is open.
    let one = session(1, &asha);
    accounts.open(&acme, &one, 3).await.unwrap();
    assert_eq!(accounts.session(one.id).await.unwrap(), Some((one, changed.clone())));
    assert!(!accounts.renew(&acme, one.id, 1).await.unwrap());
    let both = tokio::join!(accounts.renew(&acme, one.id, 0), accounts.renew(&acme, one.id, 0));
    assert_eq!(u8::from(both.0.unwrap()) + u8::from(both.1.unwrap()), 1);
    assert_eq!(accounts.session(one.id).await.unwrap().unwrap().0.generation, 1);
    assert!(accounts.end(&acme, one.id, at(5)).await.unwrap());
    assert!(!accounts.end(&acme, one.id, at(6)).await.unwrap());
    assert!(!accounts.renew(&acme, one.id, 1).await.unwrap());
    assert_eq!(accounts.session(one.id).await.unwrap().unwrap().0.ended_at, Some(at(5)));

    // The oldest go, of this account only.
    accounts.open(&acme, &session(9, &ravi), 3).await.unwrap();
    for number in 2..=4 {
        accounts.open(&acme, &session(number, &asha), 3).await.unwrap();
    }
    let there = async |number: u128| {
        let found = accounts.session(SessionId(Uuid::from_u128(number))).await.unwrap();
        found.map(|(session, _)| session.ended_at)
    };
    assert_eq!((there(1).await, there(2).await, there(9).await), (None, Some(None), Some(None)));
    accounts.end_all(&acme, asha.id, at(7)).await.unwrap();
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

async fn keep_the_contract_sealed(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    contract(store.accounts.clone()).await;
    store.close().await.unwrap();
}

/// An address and a name that are nobody else's.
const EMAIL: &str = "zeenat.quadros@example.com";
const NAME: &str = "Zeenat Quadros";

fn zeenat(number: u128) -> Account {
    Account { name: NAME.into(), ..account(number, EMAIL) }
}

/// Whether address or name lie anywhere in the clear: in a column of an account, in a key, or, of a
/// file, anywhere in it.
async fn lies_in_the_clear(place: &Place) -> bool {
    let rows = "SELECT COALESCE(string_agg(found_by || name || identity, ' '), '') FROM accounts";
    let keys = "SELECT COALESCE(string_agg(name || identity || created_by, ' '), '') FROM api_keys";
    let mut all = place.bytes();
    for sql in [rows, keys] {
        all.extend(place.text(sql).await.into_bytes());
    }
    [EMAIL, NAME].iter().any(|word| is_in(word.as_bytes(), &all))
}

async fn a_sealed_address_lies_nowhere_in_the_clear_and_is_found(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    assert!(store.accounts.create(&zeenat(1)).await.unwrap());
    assert!(store.accounts.create(&account(2, "ravi@example.com")).await.unwrap());
    store.close().await.unwrap();
    assert!(!lies_in_the_clear(place).await);
    // Another process finds it, and only by its address.
    let store = place.look_sealed(&key).await;
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), Some(zeenat(1)));
    assert_eq!(store.accounts.claimed("nobody@example.com").await.unwrap(), None);
    let by = place.text("SELECT MAX(found_by) FROM accounts").await;
    assert_eq!(by.len(), 64);
    assert_eq!(store.accounts.claimed(&by).await.unwrap(), None, "it is no address");
    assert!(!store.accounts.create(&zeenat(3)).await.unwrap(), "an address has one account");
    store.close().await.unwrap();
}

async fn a_sealed_account_opens_for_its_holder_at_its_place_alone(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    assert!(store.accounts.create(&zeenat(1)).await.unwrap());
    assert!(store.accounts.create(&account(2, "ravi@example.com")).await.unwrap());
    let of = |column: &str| {
        format!("{column} = (SELECT k.{column} FROM kept k WHERE k.id <> accounts.id)")
    };
    let (sealed, key_id) = (of("sealed"), of("key_id"));
    for changes in [sealed.clone(), format!("{sealed}, {key_id}")] {
        place.tamper("CREATE TABLE kept AS SELECT * FROM accounts").await;
        place.tamper(&format!("UPDATE accounts SET {changes}")).await;
        for id in [zeenat(1).id, zeenat(2).id] {
            let error = store.accounts.account(id).await.unwrap_err().to_string();
            assert!(error.contains("restore it from a backup"), "{error}");
        }
        let back = "UPDATE accounts SET \
                    sealed = (SELECT k.sealed FROM kept k WHERE k.id = accounts.id), \
                    key_id = (SELECT k.key_id FROM kept k WHERE k.id = accounts.id); \
                    DROP TABLE kept";
        place.tamper(back).await;
        assert!(store.accounts.account(zeenat(1).id).await.unwrap().is_some());
    }
    store.close().await.unwrap();
}

/// What lets somebody in: two accounts, a session and keys; then one of them is erased.
async fn erase_one(place: &Place, store: &Opened) {
    let (asked, ravi) = (zeenat(1), account(2, "ravi@example.com"));
    assert!(store.accounts.create(&asked).await.unwrap());
    assert!(store.accounts.create(&ravi).await.unwrap());
    store.accounts.open(&tenant("acme"), &session(1, &asked), 3).await.unwrap();
    store.accounts.open(&tenant("acme"), &session(2, &ravi), 3).await.unwrap();
    let (own, other) = (key_of(1, &asked), key_of(2, &ravi));
    for key in [&own, &other] {
        store.keys.put(&tenant("acme"), key).await.unwrap();
    }
    let subject = &asked.identity.subject;
    let error = store.erase(&tenant("globex"), subject).await.unwrap_err();
    assert!(matches!(error, EraseError::Unknown { .. }), "{error}");
    assert!(store.accounts.claimed(EMAIL).await.unwrap().is_some(), "of another tenant");

    let erased = store.erase(&tenant("acme"), subject).await.unwrap();
    assert_eq!((erased.accounts, erased.api_keys, erased.in_log), (1, 1, false));
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), None);
    assert_eq!(store.accounts.account(asked.id).await.unwrap(), None);
    assert_eq!(store.accounts.session(session(1, &asked).id).await.unwrap(), None);
    assert_eq!(store.keys.claimed(own.id).await.unwrap(), None);
    assert!(!lies_in_the_clear(place).await);
    // The other's stay, and the address may come again.
    assert!(store.accounts.session(session(2, &ravi).id).await.unwrap().is_some());
    assert!(store.keys.claimed(other.id).await.unwrap().is_some());
    let again = zeenat(9);
    assert!(store.accounts.create(&again).await.unwrap());
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), Some(again));
}

async fn who_is_erased_can_no_longer_come_in_and_has_no_address(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    erase_one(place, &store).await;
    store.close().await.unwrap();
}

async fn who_is_erased_has_no_address_in_the_clear_either(place: &Place) {
    let store = place.own().await;
    erase_one(place, &store).await;
    store.close().await.unwrap();
}

async fn accounts_in_the_clear_are_sealed_once_there_is_a_key(place: &Place) {
    let store = place.own().await;
    assert!(store.accounts.create(&zeenat(1)).await.unwrap());
    store.close().await.unwrap();
    assert!(lies_in_the_clear(place).await, "nothing is sealed yet");
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    assert!(!lies_in_the_clear(place).await);
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), Some(zeenat(1)));
    assert!(!store.accounts.create(&zeenat(2)).await.unwrap(), "an address has one account");
    store.close().await.unwrap();
}

async fn an_account_is_found_after_a_rotation(place: &Place) {
    let ((_keys, key), (_others, other)) = (key(), key());
    let store = place.own_sealed(&key).await;
    assert!(store.accounts.create(&zeenat(1)).await.unwrap());
    let looker = place.look_sealed(&key).await;
    looker.rotate(None, |_| {}).await.unwrap();
    looker.close().await.unwrap();
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), Some(zeenat(1)));
    store.close().await.unwrap();
    let KeySource::File(path) = &other else { panic!("a file") };
    let looker = place.look_sealed(&key).await;
    assert_eq!(looker.accounts.claimed(EMAIL).await.unwrap(), Some(zeenat(1)));
    looker.rotate(Some(path.clone()), |_| {}).await.unwrap();
    looker.close().await.unwrap();
    let store = place.own_sealed(&other).await;
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), Some(zeenat(1)));
    store.close().await.unwrap();
    let error = place.look_sealed(&key).await.accounts.claimed(EMAIL).await.unwrap_err();
    assert!(error.to_string().contains("--sealing-key"), "{error}");
}

async fn the_step_is_not_taken_back_from_under_sealed_accounts(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    assert!(store.accounts.create(&zeenat(1)).await.unwrap());
    store.close().await.unwrap();
    for steps in 5..=7 {
        let error = revert(&place.location, steps).await.unwrap_err();
        assert!(matches!(error, OpenError::Sealed { sealed: 1, .. }), "{error}");
    }
    // With the table itself it may go.
    revert(&place.location, 8).await.unwrap();
    let store = place.own_sealed(&key).await;
    assert_eq!(store.accounts.claimed(EMAIL).await.unwrap(), None);
    store.close().await.unwrap();
}

on_each_database!(
    keep_the_contract,
    keep_the_contract_sealed,
    a_sealed_address_lies_nowhere_in_the_clear_and_is_found,
    a_sealed_account_opens_for_its_holder_at_its_place_alone,
    who_is_erased_can_no_longer_come_in_and_has_no_address,
    who_is_erased_has_no_address_in_the_clear_either,
    accounts_in_the_clear_are_sealed_once_there_is_a_key,
    an_account_is_found_after_a_rotation,
    the_step_is_not_taken_back_from_under_sealed_accounts,
);
