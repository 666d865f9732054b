//! What a key may do at the moment: what it says, and no more than whatever made it may.
//!
//! A key that was made with another key or by an account is worth nothing once that is revoked,
//! expired or disabled, and loses what its maker loses. What an administrator has given stays as
//! long as they are one.

use std::collections::BTreeSet;

use genie_core::budget::BudgetId;
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::Account;
use genie_core::identity::{ADMIN, Key, KeyRing, Maker};
use genie_core::limits::KEY_CHAIN_MAX;
use genie_core::principal::Identity;

use super::Entrance;
use crate::error::Problem;

/// A key with what stands behind it.
#[derive(Debug)]
pub(crate) struct Lineage {
    key: Key,
    /// The key that it was made with, and so on.
    makers: Vec<Key>,
    /// Whose session made the last of them.
    account: Option<Account>,
}

pub(super) fn lapsed() -> Problem {
    let problem = "what this key was made with is no longer good; have another made";
    Problem::unauthenticated("revoked_key", problem)
}

impl Lineage {
    /// Looks up what stands behind a key.
    ///
    /// # Errors
    /// A maker that is not there, or too many of them.
    pub(super) async fn of(entrance: &Entrance, key: Key) -> Result<Self, Problem> {
        let mut makers: Vec<Key> = Vec::new();
        loop {
            let maker = makers.last().unwrap_or(&key).maker;
            let account = match maker {
                Maker::Operator => None,
                Maker::Account(id) => {
                    Some(entrance.accounts.account(id).await?.ok_or_else(lapsed)?)
                }
                Maker::Key(id) => {
                    if makers.len() + 1 >= KEY_CHAIN_MAX {
                        return Err(lapsed());
                    }
                    makers.push(entrance.keys.claimed(id).await?.ok_or_else(lapsed)?);
                    continue;
                }
            };
            return Ok(Self { key, makers, account });
        }
    }

    /// The key.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The keys that it was made with, the nearest first.
    pub(crate) fn makers(&self) -> &[Key] {
        &self.makers
    }

    /// What the key may do at this moment.
    ///
    /// # Errors
    /// It may do nothing any more.
    pub(crate) fn rights(&self, now: Timestamp) -> Result<Identity, Problem> {
        let account = self.account.as_ref();
        let is_disabled = account.is_some_and(|account| account.disabled_at.is_some());
        if is_disabled || self.makers.iter().any(|key| !key.is_good(now)) {
            return Err(lapsed());
        }
        let mut bound = account.map(|account| account.identity.clone());
        for maker in self.makers.iter().rev() {
            bound = Some(narrowed(&maker.identity, bound.as_ref()).ok_or_else(lapsed)?);
        }
        let identity = narrowed(&self.key.identity, bound.as_ref()).ok_or_else(lapsed)?;
        let spenders = std::iter::once(&self.key).chain(&self.makers);
        let spenders = spenders.filter(|key| key.budget_minor.is_some());
        Ok(Identity { budgets: spenders.map(|key| BudgetId(key.id.0)).collect(), ..identity })
    }
}

/// What is left of `own` if its maker has the rights of `bound`; `None` if nothing may be.
fn narrowed(own: &Identity, bound: Option<&Identity>) -> Option<Identity> {
    let Some(bound) = bound else { return Some(own.clone()) };
    if own.tenant != bound.tenant {
        return None;
    }
    let allowed = own.allowed.and(&bound.allowed);
    if bound.roles.contains(ADMIN) {
        return Some(Identity { allowed, ..own.clone() });
    }
    if own.subject != bound.subject {
        return None;
    }
    let both = |own: &BTreeSet<String>, bound: &BTreeSet<String>| {
        own.intersection(bound).cloned().collect()
    };
    Some(Identity {
        tenant: own.tenant.clone(),
        subject: own.subject.clone(),
        roles: both(&own.roles, &bound.roles),
        scopes: both(&own.scopes, &bound.scopes),
        consents: both(&own.consents, &bound.consents),
        allowed,
        ..Identity::default()
    })
}
