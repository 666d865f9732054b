//! What an account is made of, checked: an e-mail address, a name and a password.

use genie_core::clock::Timestamp;
use genie_core::identity::Error;
use genie_core::identity::accounts::{Account, AccountId, PasswordHash};
use genie_core::principal::Identity;
use zeroize::Zeroizing;

use crate::keys::is_name;
use crate::password::{LEN_MAX, LEN_MIN, Password};

/// Most bytes of an e-mail address (RFC 5321, 4.5.3.1.3), without its angle brackets.
const EMAIL_LEN_MAX: usize = 254;
/// Most bytes of what stands before its `@` (RFC 5321, 4.5.3.1.1).
const LOCAL_LEN_MAX: usize = 64;

/// Why somebody cannot have an account.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// A field makes no sense.
    #[error("{detail}")]
    Unfit {
        /// The field.
        field: &'static str,
        /// What to change.
        detail: String,
    },
    /// There is an account with this e-mail address.
    #[error("there is an account with this e-mail address already")]
    Taken,
    /// There is no memory to hash the password in.
    #[error("the password cannot be hashed; is there memory left?")]
    Unhashed,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Somebody who is to have an account.
#[derive(Debug)]
pub struct Newcomer {
    pub(crate) email: String,
    name: String,
    pub(crate) password: Password,
}

/// The address as it is kept and looked for.
#[must_use]
pub fn normal(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else { return false };
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"(),:;<>@[\\]".contains(&byte);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    email.len() <= EMAIL_LEN_MAX
        && (1..=LOCAL_LEN_MAX).contains(&local.len())
        && local.bytes().all(plain)
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// Whether this may be a password of the account with this address.
pub(crate) fn check_password(password: &str, email: &str) -> Result<(), NotMade> {
    let unfit = |detail: String| Err(NotMade::Unfit { field: "password", detail });
    if !(LEN_MIN..=LEN_MAX).contains(&password.chars().count()) {
        return unfit(format!("`password` has {LEN_MIN} to {LEN_MAX} characters"));
    }
    let mut characters = password.chars();
    let first = characters.next();
    if characters.all(|character| Some(character) == first) {
        return unfit("`password` is one character over and over; take another".to_owned());
    }
    if password.eq_ignore_ascii_case(email) {
        return unfit("`password` is the e-mail address; take another".to_owned());
    }
    Ok(())
}

impl Newcomer {
    /// Checks what somebody has given.
    ///
    /// # Errors
    /// [`NotMade::Unfit`] names the field and what to change.
    pub fn new(email: &str, name: &str, password: Zeroizing<String>) -> Result<Self, NotMade> {
        let email = normal(email);
        if !is_email(&email) {
            let detail = "`email` is an address such as `asha@example.com`".to_owned();
            return Err(NotMade::Unfit { field: "email", detail });
        }
        if !is_name(name) {
            let detail = "`name` has 1 to 200 characters, on one line".to_owned();
            return Err(NotMade::Unfit { field: "name", detail });
        }
        check_password(&password, &email)?;
        Ok(Self { email, name: name.to_owned(), password })
    }

    /// The account, whose subject is its id; tenant and rights are those of `rights`.
    pub(crate) fn account(
        &self,
        hash: PasswordHash,
        rights: Identity,
        (id, now): (uuid::Uuid, Timestamp),
    ) -> Account {
        Account {
            id: AccountId(id),
            email: self.email.as_str().into(),
            name: self.name.as_str().into(),
            password: hash,
            identity: Identity { subject: id.to_string(), ..rights },
            created_at: now,
            disabled_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |email: &str, name: &str, password: &str, field: Option<&str>| {
            let made = Newcomer::new(email, name, Zeroizing::new(password.to_owned()));
            let found = match made {
                Err(NotMade::Unfit { field, .. }) => Some(field),
                made => made.map(|_| None).unwrap(),
            };
            assert_eq!(found, field, "{email} {name} {password}");
        };
        let (email, name, password) = ("asha@example.com", "Asha", "correct horse");
        check(email, name, password, None);
        check(" Asha.Rao+bank@Example.co.in ", "आशा", "पासवर्ड १२३", None);
        let long = format!("{}@example.com", "a".repeat(65));
        for wrong in ["", "asha", "@example.com", "asha@", "asha@host", "a b@example.com", &long] {
            check(wrong, name, password, Some("email"));
        }
        for wrong in ["a@b@example.com", "a@-x.com", "a@x..com", "a\n@example.com", "ä@example.com"]
        {
            check(wrong, name, password, Some("email"));
        }
        for wrong in ["", " ", "a\nb", &"a".repeat(201)] {
            check(email, wrong, password, Some("name"));
        }
        for wrong in ["", "1234567", "aaaaaaaaaaaa", "ASHA@example.com", &"ab".repeat(129)] {
            check(email, name, wrong, Some("password"));
        }
    }
}
