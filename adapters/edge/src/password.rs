//! Passwords: hashed slowly, on threads of their own, a few at a time.
//!
//! Argon2id with the parameters of the OWASP Password Storage Cheat Sheet (19 MiB of memory, two
//! passes, one lane). Whoever has no account costs as much time as whoever has one. The rules are
//! those of NIST SP 800-63B, 5.1.1.2: a length, and no recipe for what is in it.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use genie_core::identity::accounts::PasswordHash;
use genie_core::ids::Ids;
use genie_core::tasks::Tasks;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::error::Problem;

/// Least characters of a password.
pub(crate) const LEN_MIN: usize = 8;
/// Most characters of a password.
pub(crate) const LEN_MAX: usize = 256;
/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1_024;
/// Passes over it.
const PASSES: u32 = 2;
/// Threads of one hash.
const LANES: u32 = 1;
/// Bytes of salt.
const SALT_BYTES: usize = 16;
/// Hashes at once: each takes a core for some hundredths of a second.
const AT_ONCE: usize = 2;
/// Hashes that wait for their turn; one more is refused.
const WAITING_MAX: usize = 32;
/// What is compared with where there is no account: nothing hashes to it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as somebody gave it.
pub(crate) type Password = Zeroizing<String>;

/// Where passwords are hashed.
#[derive(Debug)]
pub(crate) struct Passwords {
    tasks: Tasks,
    /// Those that are hashed or wait for it.
    inside: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of a password under a fresh salt; `None` if the system has no memory for it.
pub(crate) fn hash(password: &str, ids: &dyn Ids) -> Option<PasswordHash> {
    let mut salt = [0; SALT_BYTES];
    for part in salt.chunks_exact_mut(8) {
        part.copy_from_slice(&ids.random().to_be_bytes());
    }
    let hashed = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(PasswordHash(hashed.to_string().into()))
}

fn is_right(password: &str, hash: Option<&PasswordHash>) -> bool {
    let text = hash.map_or(NOBODY, |hash| &hash.0);
    let right =
        argon2().is_some_and(|argon2| argon2.verify_password(password.as_bytes(), text).is_ok());
    right && hash.is_some()
}

impl Passwords {
    pub(crate) fn new(tasks: Tasks) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { tasks, inside: places(AT_ONCE + WAITING_MAX), at_work: places(AT_ONCE) }
    }

    /// A place to hash at, once there is one.
    async fn place(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Problem> {
        let inside = self.inside.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
        let at_work = self.at_work.clone().acquire_owned().await.map_err(|_| Problem::busy())?;
        Ok((inside, at_work))
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// Too many at once.
    pub(crate) async fn hash(
        &self,
        password: Password,
        ids: Arc<dyn Ids>,
    ) -> Result<PasswordHash, Problem> {
        let place = self.place().await?;
        // The places are given back when the work is done, also if nobody waits for it any more.
        let work = self.tasks.spawn_blocking(move || (hash(&password, &*ids), place).0);
        work.await.ok().flatten().ok_or_else(Problem::busy)
    }

    /// Whether it is the password of the hash; without one it is not, and takes as long.
    ///
    /// # Errors
    /// Too many at once.
    pub(crate) async fn is_right(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Problem> {
        let place = self.place().await?;
        let work = self.tasks.spawn_blocking(move || (is_right(&password, hash.as_ref()), place).0);
        work.await.map_err(|_| Problem::busy())
    }
}

#[cfg(test)]
mod tests {
    use genie_core::ids::SeededIds;

    use super::*;

    #[test]
    fn a_hash_says_its_parameters_and_is_of_one_password() {
        let hashed = hash("correct horse", &SeededIds::new(1)).unwrap();
        let again = hash("correct horse", &SeededIds::new(2)).unwrap();
        assert!(hashed.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hashed.0);
        assert_ne!(hashed, again, "each has a salt of its own");
        assert!(is_right("correct horse", Some(&hashed)));
        assert!(!is_right("correct horsf", Some(&hashed)));
        assert!(!is_right("correct horse", None));
        assert_eq!(format!("{hashed:?}"), "PasswordHash");
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_does() {
        let parsed = argon2::password_hash::phc::PasswordHash::new(NOBODY).unwrap();
        let real = hash("password", &SeededIds::new(1)).unwrap();
        let real = argon2::password_hash::phc::PasswordHash::new(&real.0).unwrap();
        assert_eq!((parsed.algorithm, parsed.params), (real.algorithm, real.params));
        assert_eq!(parsed.salt.unwrap().len(), real.salt.unwrap().len());
    }

    #[tokio::test]
    async fn no_more_than_a_few_wait_for_their_turn() {
        let passwords = Passwords::new(Tasks::default());
        let held: Vec<_> =
            std::iter::from_fn(|| passwords.inside.clone().try_acquire_owned().ok()).collect();
        assert_eq!(held.len(), AT_ONCE + WAITING_MAX);
        let refused = passwords.is_right(Zeroizing::new("password".into()), None).await;
        assert!(refused.is_err());
        drop(held);
        assert!(!passwords.is_right(Zeroizing::new("password".into()), None).await.unwrap());
    }
}
