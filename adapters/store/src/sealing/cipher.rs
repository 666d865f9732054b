//! AES-256-GCM over what is kept of a subject, bound to where it is kept.
//!
//! A sealed text is a random nonce of 96 bits, the ciphertext and the tag of 128 bits. With random
//! nonces one key is good for 2^32 texts (NIST SP 800-38D, 8.3); no subject comes near that.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Domain separation: nothing else is authenticated with these bytes first.
const DOMAIN: &[u8] = b"genie/sealed/v1\n";
/// What most places take up when they are bound.
const BOUND_BYTES: usize = 192;
/// Nonces that are drawn at once: to draw one takes as long as to seal a short text.
const DRAWN: usize = 256;

/// The cipher or the randomness of the operating system failed, which does not happen.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gives no randomness, or the cipher failed")]
pub(crate) struct Failed;

/// Whose data it is, and by which of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) tenant: String,
    pub(crate) subject: String,
    pub(crate) generation: i64,
}

/// Where a sealed text is kept: moved anywhere else it does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The key of the subject itself, wrapped.
    Key,
    /// The key that accounts are found by, wrapped.
    Lookup,
    Record {
        chain: i64,
        seq: i64,
        run: &'a [u8],
    },
    Blob {
        sha256: &'a [u8],
    },
    Approval {
        id: &'a [u8],
        revision: i64,
    },
    Document {
        id: &'a [u8],
    },
    Account {
        id: &'a [u8],
    },
}

impl Place<'_> {
    /// What is authenticated with the text: every field with its length before it, so that no two
    /// places read alike.
    fn bound(self, holder: &Holder) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BOUND_BYTES);
        bytes.extend(DOMAIN);
        let mut field = |field: &[u8]| {
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field);
        };
        field(holder.tenant.as_bytes());
        field(holder.subject.as_bytes());
        field(&holder.generation.to_be_bytes());
        match self {
            Self::Key => field(b"key"),
            Self::Lookup => field(b"lookup"),
            Self::Record { chain, seq, run } => {
                field(b"record");
                field(&chain.to_be_bytes());
                field(&seq.to_be_bytes());
                field(run);
            }
            Self::Blob { sha256 } => {
                field(b"blob");
                field(sha256);
            }
            Self::Document { id } => {
                field(b"document");
                field(id);
            }
            Self::Account { id } => {
                field(b"account");
                field(id);
            }
            Self::Approval { id, revision } => {
                field(b"approval");
                field(id);
                field(&revision.to_be_bytes());
            }
        }
        bytes
    }
}

/// Randomness of the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failed> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(&mut bytes[..]).map_err(|_| Failed)?;
    Ok(bytes)
}

/// Random nonces for many texts. Each is given once.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Vec<u8>);

impl Nonces {
    fn draw(&mut self) -> Result<[u8; NONCE_LEN], Failed> {
        if self.0.is_empty() {
            // Not in place: if it fails, none of it may be taken for a nonce.
            let mut drawn = vec![0; DRAWN * NONCE_LEN];
            aws_lc_rs::rand::fill(&mut drawn).map_err(|_| Failed)?;
            self.0 = drawn;
        }
        let nonce = *self.0.last_chunk().ok_or(Failed)?;
        self.0.truncate(self.0.len() - NONCE_LEN);
        Ok(nonce)
    }
}

/// A key that seals and opens. The library wipes it when it goes.
pub(crate) struct Cipher(LessSafeKey);

impl fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cipher")
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Self, Failed> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Failed)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    pub(crate) fn seal(
        &self,
        holder: &Holder,
        place: Place<'_>,
        text: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        self.seal_next(&mut Nonces(random::<NONCE_LEN>()?.to_vec()), holder, place, text)
    }

    /// As [`Self::seal`], for one text of many.
    pub(crate) fn seal_next(
        &self,
        nonces: &mut Nonces,
        holder: &Holder,
        place: Place<'_>,
        text: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        self.seal_onto(&mut sealed, nonces, holder, (place, text))?;
        Ok(sealed)
    }

    /// As [`Self::seal_next`], behind what is there. If it fails, none of that is of use.
    pub(crate) fn seal_onto(
        &self,
        there: &mut Vec<u8>,
        nonces: &mut Nonces,
        holder: &Holder,
        (place, text): (Place<'_>, &[u8]),
    ) -> Result<(), Failed> {
        let nonce = nonces.draw()?;
        there.extend(nonce);
        let from = there.len();
        there.extend(text);
        let bound = Aad::from(place.bound(holder));
        let text = there.get_mut(from..).ok_or(Failed)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, bound, text).map_err(|_| Failed)?;
        there.extend(tag.as_ref());
        Ok(())
    }

    /// The text; `None` if this is not what this key has sealed for this place.
    pub(crate) fn open(
        &self,
        holder: &Holder,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let bound = Aad::from(place.bound(holder));
        let length = self.0.open_in_place(nonce, bound, &mut text[..]).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(tenant: &str, subject: &str, generation: i64) -> Holder {
        Holder { tenant: tenant.to_owned(), subject: subject.to_owned(), generation }
    }

    #[test]
    fn a_sealed_text_opens_at_its_place_with_its_key_and_nowhere_else() {
        let cipher = Cipher::new(&[7; KEY_BYTES]).unwrap();
        let home = (holder("acme", "asha", 1), Place::Record { chain: 1, seq: 2, run: b"r" });
        let sealed = cipher.seal(&home.0, home.1, b"salary").unwrap();
        assert_eq!(cipher.open(&home.0, home.1, &sealed).unwrap().as_slice(), b"salary");
        for (holder, place) in [
            (holder("acme", "asha", 2), home.1),
            (holder("acme", "ravi", 1), home.1),
            (holder("acm", "easha", 1), home.1),
            (home.0.clone(), Place::Record { chain: 2, seq: 2, run: b"r" }),
            (home.0.clone(), Place::Record { chain: 1, seq: 3, run: b"r" }),
            (home.0.clone(), Place::Record { chain: 1, seq: 2, run: b"s" }),
            (home.0.clone(), Place::Blob { sha256: b"r" }),
            (home.0.clone(), Place::Key),
        ] {
            assert!(cipher.open(&holder, place, &sealed).is_none(), "{holder:?} {place:?}");
        }
        let other = Cipher::new(&[8; KEY_BYTES]).unwrap();
        assert!(other.open(&home.0, home.1, &sealed).is_none());
    }

    #[test]
    fn a_changed_or_cut_text_does_not_open() {
        let cipher = Cipher::new(&[7; KEY_BYTES]).unwrap();
        let home = (holder("acme", "asha", 1), Place::Blob { sha256: b"x" });
        let sealed = cipher.seal(&home.0, home.1, b"salary").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(cipher.open(&home.0, home.1, &changed).is_none(), "byte {at}");
            assert!(cipher.open(&home.0, home.1, &sealed[..at]).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let cipher = Cipher::new(&[7; KEY_BYTES]).unwrap();
        let holder = holder("acme", "asha", 1);
        let seal = || cipher.seal(&holder, Place::Key, b"salary").unwrap();
        assert_ne!(seal(), seal());
    }
}
