//! The log's keys: Ed25519 pairs with a name, in the text forms of C2SP signed-note.
//!
//! A verifier key reads `NAME+ID+BASE64` and may be published; a signer key reads
//! `PRIVATE+KEY+NAME+ID+BASE64` and may not. Seeds come from the caller: nothing here is random.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The signature type of plain Ed25519 in signed notes.
const ED25519: u8 = 1;
/// What the text form of a signer key starts with.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Most bytes of a key's name.
const NAME_BYTES_MAX: usize = 255;

/// Why a key cannot be read. Never contains what was read, since that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name cannot be in a signature line.
    #[error("a key name has 1 to 255 bytes and no spaces or `+`, such as `genie.example.com/log`")]
    Name,
    /// Not the text of a verifier key.
    #[error("a verifier key reads `NAME+ID+BASE64`; copy it whole, on one line")]
    NotVerifier,
    /// Not the text of a signer key.
    #[error("a signer key reads `PRIVATE+KEY+NAME+ID+BASE64`; copy it whole, on one line")]
    NotSigner,
    /// The private key was given where the public one belongs.
    #[error("this is a signer key; keep it secret and give the verifier key")]
    Secret,
    /// Another algorithm than Ed25519.
    #[error("the key is not an Ed25519 key, whose signature type is 1")]
    Algorithm,
    /// The id is not that of name and key.
    #[error("the key's id does not fit its name and key; copy it again")]
    Id,
    /// The bytes are no public key, or one under which anything can be signed.
    #[error("the bytes of the key are not a sound Ed25519 public key")]
    Weak,
}

/// The first four bytes of the SHA-256 of a key and its name; tells keys of one name apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn of(name: &str, key: &VerifyingKey) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', ED25519]);
        hasher.update(key.as_bytes());
        let [first, second, third, fourth, ..] = <[u8; 32]>::from(hasher.finalize());
        Self([first, second, third, fourth])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The public half: checks signatures. Reads from and displays as `NAME+ID+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        if key.is_weak() {
            return Err(Error::Weak);
        }
        Ok(Self { name: name.to_owned(), id: KeyId::of(name, &key), key })
    }

    /// The name; that of a log is the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The same key under another name, for another log of the same signer.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn named(&self, name: &str) -> Result<Self, Error> {
        Self::new(name, self.key)
    }

    /// Whether this is the signature of `text` (RFC 8032, without the malleable cases).
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text, &signature).is_ok())
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with(PRIVATE) {
            return Err(Error::Secret);
        }
        let fields = Fields::of(text).ok_or(Error::NotVerifier)?;
        let key = VerifyingKey::from_bytes(&*fields.key()?).map_err(|_| Error::Weak)?;
        fields.owned_by(Self::new(fields.name, key)?)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(typed(self.key.as_bytes()));
        write!(formatter, "{}+{}+{key}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The private half: signs. Wiped from memory when it is dropped, and never in debug output.
pub struct SignerKey {
    verifier: VerifierKey,
    key: SigningKey,
}

impl SignerKey {
    /// The key of this name from 32 secret random bytes.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, Error> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self { verifier: VerifierKey::new(name, key.verifying_key())?, key })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The same key under another name, for another log: what it signs names the log, so that it
    /// cannot be taken for a statement about this one.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn named(&self, name: &str) -> Result<Self, Error> {
        Ok(Self { verifier: self.verifier.named(name)?, key: self.key.clone() })
    }

    /// The text form, to be stored where only the log can read it.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let VerifierKey { name, id, .. } = &self.verifier;
        let seed = Zeroizing::new(typed(self.key.as_bytes()));
        // Room for all of it, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(PRIVATE.len() + name.len() + 64));
        text.push_str(PRIVATE);
        text.push_str(name);
        text.push('+');
        text.push_str(&id.to_string());
        text.push('+');
        STANDARD.encode_string(*seed, &mut text);
        text
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }
}

impl FromStr for SignerKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fields = text.strip_prefix(PRIVATE).and_then(Fields::of).ok_or(Error::NotSigner)?;
        let key = Self::from_seed(fields.name, &*fields.key()?)?;
        let verifier = fields.owned_by(key.verifier)?;
        Ok(Self { verifier, key: key.key })
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SignerKey").field(&self.verifier).finish_non_exhaustive()
    }
}

/// Whether this can be the name in a signature line.
pub(super) fn is_name(name: &str) -> bool {
    let stray = |char: char| char.is_whitespace() || char.is_control() || char == '+';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(stray)
}

/// The parts of a key's text form.
struct Fields<'a> {
    name: &'a str,
    id: &'a str,
    typed: Zeroizing<Vec<u8>>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        Some(Self { name, id, typed: Zeroizing::new(STANDARD.decode(key).ok()?) })
    }

    fn key(&self) -> Result<Zeroizing<[u8; 32]>, Error> {
        match self.typed.split_first() {
            Some((&ED25519, key)) => {
                Ok(Zeroizing::new(key.try_into().map_err(|_| Error::Algorithm)?))
            }
            _ => Err(Error::Algorithm),
        }
    }

    /// The key, if the text names its id.
    fn owned_by(&self, key: VerifierKey) -> Result<VerifierKey, Error> {
        if key.id.to_string() == self.id { Ok(key) } else { Err(Error::Id) }
    }
}

/// The key's bytes behind the byte for its type.
fn typed(key: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [ED25519; 33];
    bytes[1..].copy_from_slice(key);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "genie.example.com/log";
    // Computed with Python's `cryptography` and hashlib for the seed 00 01 … 1f.
    const VERIFIER: &str =
        "genie.example.com/log+482e2ed7+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const SIGNER: &str =
        "PRIVATE+KEY+genie.example.com/log+482e2ed7+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn seed() -> [u8; 32] {
        std::array::from_fn(|at| u8::try_from(at).unwrap())
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // RFC 8032, section 7.1, tests 1 and 2.
        let check = |seed: &str, public: &str, message: &[u8], signature: &str| {
            let key = SignerKey::from_seed("a", &bytes(seed)).unwrap();
            assert_eq!(*key.verifier.key.as_bytes(), bytes(public));
            assert_eq!(key.sign(message), bytes(signature));
            assert!(key.verifier.verifies(message, &bytes::<64>(signature)));
            assert!(!key.verifier.verifies(b"other", &bytes::<64>(signature)));
            assert!(!key.verifier.verifies(message, &bytes::<63>(signature)));
        };
        check(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
             c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        check(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            b"\x72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e\
             458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
    }

    #[test]
    fn a_key_has_the_text_forms_of_signed_note() {
        let key = SignerKey::from_seed(NAME, &seed()).unwrap();
        assert_eq!(*key.to_secret_text(), SIGNER);
        assert_eq!(key.verifier().to_string(), VERIFIER);
        assert_eq!(VERIFIER.parse::<VerifierKey>().unwrap(), *key.verifier());
        let read = SIGNER.parse::<SignerKey>().unwrap();
        assert_eq!(read.to_secret_text(), key.to_secret_text());
        // The examples of C2SP signed-note and of Go's `sumdb/note`.
        for text in [
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_says_why() {
        let verifier = |text: &str| text.parse::<VerifierKey>().unwrap_err();
        let signer = |text: &str| text.parse::<SignerKey>().unwrap_err();
        assert_eq!(verifier(SIGNER), Error::Secret);
        assert_eq!(verifier(""), Error::NotVerifier);
        assert_eq!(verifier("a+b"), Error::NotVerifier);
        assert_eq!(verifier(&format!("{VERIFIER}\n")), Error::NotVerifier);
        assert_eq!(verifier(&VERIFIER.replace("genie", "djinn")), Error::Id);
        assert_eq!(verifier(&VERIFIER.replace("482e2ed7", "482e2ed6")), Error::Id);
        assert_eq!(verifier(&VERIFIER.replace("482e2ed7", "482E2ED7")), Error::Id);
        assert_eq!(verifier(&VERIFIER.replace("+AQ", "+BA")), Error::Algorithm);
        assert_eq!(verifier(&VERIFIER.replace("VTG4", "")), Error::Algorithm);
        assert_eq!(verifier(&VERIFIER.replace("genie", "ge nie")), Error::Name);
        assert_eq!(verifier(&VERIFIER.replace("genie", "")), Error::Id);
        assert_eq!(signer(VERIFIER), Error::NotSigner);
        assert_eq!(signer(&SIGNER.replace("HR4f", "HR4")), Error::NotSigner);
        assert_eq!(signer(&SIGNER.replace("AQAB", "AQAC")), Error::Id);
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\u{7f}", &"a".repeat(256)] {
            assert_eq!(SignerKey::from_seed(name, &seed()).unwrap_err(), Error::Name, "{name}");
        }
    }

    #[test]
    fn a_key_under_which_anything_can_be_signed_is_refused() {
        // The neutral point, of order 1: y = 1.
        let mut point = [0; 33];
        (point[0], point[1]) = (ED25519, 1);
        let text = format!("weak+00000000+{}", STANDARD.encode(point));
        assert_eq!(text.parse::<VerifierKey>().unwrap_err(), Error::Weak);
    }

    #[test]
    fn a_secret_is_neither_in_debug_output_nor_in_errors() {
        let key = SignerKey::from_seed(NAME, &seed()).unwrap();
        assert_eq!(format!("{key:?}"), format!("SignerKey({VERIFIER}, ..)"));
        let secret = "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
        for text in [SIGNER.replace("482e", "482f"), SIGNER.replace("KEY", "")] {
            let signer = text.parse::<SignerKey>().unwrap_err();
            let verifier = text.parse::<VerifierKey>().unwrap_err();
            assert!(!format!("{signer} {signer:?} {verifier} {verifier:?}").contains(secret));
        }
    }
}
