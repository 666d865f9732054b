//! How records are sealed: SHA-256 over sequence number, previous hash and the body's hash.
//!
//! `hash = SHA-256("genie/record/v1\n" ‖ seq as 8 bytes big-endian ‖ prev_hash ‖ SHA-256(body))`,
//! where the body is the exact UTF-8 text of the entry's JSON. Hashing the body first lets writers
//! do the long part of the work before they take their place in the chain.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// Domain separation: no other SHA-256 of this program starts with these bytes.
const RECORD_DOMAIN: &[u8] = b"genie/record/v1\n";

/// A SHA-256 digest, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands before the first record.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads exactly 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        // What is no digit is told at the end, by the bits that no digit has.
        let mut all = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            all |= high | low;
            *byte = high << 4 | low & 15;
        }
        (all < 16).then_some(Self(bytes))
    }

    fn write(self, out: &mut [u8; 64]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    }
}

/// The value of each lower-case hex digit; 255 for what is none.
const NIBBLES: [u8; 256] = {
    let (mut nibbles, mut value) = ([255; 256], 0);
    while value < 16 {
        nibbles[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    nibbles
};

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 64];
        self.write(&mut buffer);
        formatter.write_str(std::str::from_utf8(&buffer).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; 64];
        self.write(&mut buffer);
        serializer.serialize_str(std::str::from_utf8(&buffer).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| de::Error::custom("a hash is 64 lower-case hexadecimal digits"))
    }
}

/// The hash of the record `seq` that follows `prev_hash` and has this body.
#[must_use]
pub fn seal(seq: u64, prev_hash: Hash, body_hash: Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(RECORD_DOMAIN);
    hasher.update(seq.to_be_bytes());
    hasher.update(prev_hash.0);
    hasher.update(body_hash.0);
    Hash(hasher.finalize().into())
}

/// The end of a chain: what a verifier needs to notice a truncation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last record; 0 for an empty chain.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty chain.
    pub const EMPTY: Self = Self { seq: 0, hash: Hash::ZERO };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib, independent of this code:
    /// `sha256(b"genie/record/v1\n" + (1).to_bytes(8,"big") + bytes(32) + sha256(b"{}").digest())`.
    #[test]
    fn the_seal_is_the_documented_formula() {
        assert_eq!(
            seal(1, Hash::ZERO, Hash::of(b"{}")).to_string(),
            "cb6e75e06c1b9c8cda4b007706c2df01bac2a293fcae2ab65ce6fcfa4e1b73a1"
        );
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_does() {
        let hash = Hash::of(b"genie");
        assert_eq!(Hash::from_hex(&hash.to_string()), Some(hash));
        assert_eq!(Hash::from_hex(&hash.to_string().to_uppercase()), None);
        assert_eq!(Hash::from_hex("00"), None);
    }
}
