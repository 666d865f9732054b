//! What an operator does about keys and accounts, at the stores themselves: no route leads here.

use genie_core::Tenant;
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{Account, Accounts};
use genie_core::identity::{Credential, Error, Key, Keys, Maker, Quotas};
use genie_core::ids::Ids;
use genie_core::principal::Identity;
use zeroize::Zeroizing;

use crate::newcomer::{Newcomer, NotMade, check_password};
use crate::password;

/// Makes the first administrator's key and gives its text, which is kept nowhere.
///
/// # Errors
/// A store that does not take it.
pub async fn first_admin(
    keys: &dyn Keys,
    ids: &dyn Ids,
    now: Timestamp,
    (tenant, identity): (&Tenant, Identity),
) -> Result<String, Error> {
    let made = Credential::make(ids, now);
    let created_by = identity.subject.as_str().into();
    let key = Key {
        id: made.id(),
        name: "administrator".into(),
        identity,
        secret_sha256: made.secret_sha256(),
        created_by,
        maker: Maker::Operator,
        quotas: Quotas::default(),
        budget_minor: None,
        created_at: now,
        expires_at: None,
        revoked_at: None,
    };
    keys.put(tenant, &key).await?;
    Ok(made.text().to_string())
}

impl Newcomer {
    /// Makes the account here and now: for an operator; requests are made to wait their turn.
    ///
    /// # Errors
    /// [`NotMade`].
    pub async fn sign_up(
        self,
        accounts: &dyn Accounts,
        ids: &dyn Ids,
        now: Timestamp,
        rights: Identity,
    ) -> Result<Account, NotMade> {
        let hash = password::hash(&self.password, ids).ok_or(NotMade::Unhashed)?;
        let account = self.account(hash, rights, (ids.uuid(now), now));
        if accounts.create(&account).await? { Ok(account) } else { Err(NotMade::Taken) }
    }
}

/// Gives an account another password and ends its sessions; it is in the first of the tenants, and
/// in the second from then on.
///
/// # Errors
/// [`NotMade`].
pub async fn set_password(
    (accounts, before, after): (&dyn Accounts, &Tenant, &Tenant),
    ids: &dyn Ids,
    now: Timestamp,
    (account, password): (Account, Zeroizing<String>),
) -> Result<Account, NotMade> {
    check_password(&password, &account.email)?;
    let password = password::hash(&password, ids).ok_or(NotMade::Unhashed)?;
    let account = Account { password, ..account };
    accounts.change(before, &account).await?;
    accounts.end_all(after, account.id, now).await?;
    Ok(account)
}
