//! Signed notes: text with Ed25519 signatures under it, as in C2SP signed-note
//! (<https://c2sp.org/signed-note>).
//!
//! A signature by an unknown key is ignored, so that a note can carry those of an old key, a new
//! one and of witnesses; one by a known key must hold. Only [`open`] gives out the text.

use super::encoding::{base64, from_base64};
use super::keys::{KeyId, SignerKey, VerifierKey, is_name};

/// Most bytes of a note: 16 of the largest signatures in use, and room for the text.
pub const NOTE_BYTES_MAX: usize = 256 * 1_024;

/// Most signatures of a note; the specification demands at least 16.
pub const SIGNATURES_MAX: usize = 64;

/// What a signature line starts with: an em dash and a space.
const SIGNATURE: &str = "\u{2014} ";

/// Why a note cannot be made or trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too long.
    #[error("the note has {bytes} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has too many signatures.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// It is not written as a note is.
    #[error("not a signed note: {problem}")]
    Malformed {
        /// In what it differs, in a clause.
        problem: &'static str,
    },
    /// The signature of a trusted key does not fit the text.
    #[error("the signature by `{name}` (key {id}) does not fit the text; it was altered")]
    BadSignature {
        /// The key's name.
        name: String,
        /// Its id.
        id: KeyId,
    },
    /// No trusted key has signed.
    #[error(
        "no trusted key has signed it, but one that calls itself `{name}` (key {id}); see whether \
             the verifier keys that were given are those of the log"
    )]
    Untrusted {
        /// The name under the first signature.
        name: String,
        /// The id there.
        id: KeyId,
    },
}

/// A note that at least one trusted key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// What was signed, with its last newline.
    pub text: &'a str,
    /// The trusted keys that have signed it, each once.
    pub signed_by: Vec<&'a VerifierKey>,
}

/// The note of `text` with a signature by each signer.
///
/// # Errors
/// If the text does not end in a newline or has other control characters, or if there is no signer
/// or too many of them.
pub fn sign(text: &str, signers: &[&SignerKey]) -> Result<String, Error> {
    let mut note = format!("{text}\n");
    for signer in signers {
        let key = signer.verifier();
        let signature = [&key.id().0[..], &signer.sign(text.as_bytes())].concat();
        note.extend([SIGNATURE, key.name(), " ", &base64(&signature), "\n"]);
    }
    Parts::of(&note)?;
    Ok(note)
}

/// Checks a note and gives its text.
///
/// # Errors
/// Any [`Error`]; what the text says is then nobody's word.
pub fn open<'a>(note: &'a str, trusted: &'a [VerifierKey]) -> Result<Note<'a>, Error> {
    let Parts { text, signatures } = Parts::of(note)?;
    let mut signed_by = Vec::new();
    for Signed { name, id, signature } in &signatures {
        let known = trusted.iter().find(|key| key.name() == *name && key.id() == *id);
        let Some(key) = known else { continue };
        if !key.verifies(text.as_bytes(), signature) {
            return Err(Error::BadSignature { name: key.name().to_owned(), id: key.id() });
        }
        if !signed_by.contains(&key) {
            signed_by.push(key);
        }
    }
    match signatures.first() {
        Some(first) if signed_by.is_empty() => {
            Err(Error::Untrusted { name: first.name.to_owned(), id: first.id })
        }
        _ => Ok(Note { text, signed_by }),
    }
}

/// A note that is written as one should be; nothing is verified yet.
struct Parts<'a> {
    text: &'a str,
    /// At least one.
    signatures: Vec<Signed<'a>>,
}

struct Signed<'a> {
    name: &'a str,
    id: KeyId,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(note: &'a str) -> Result<Self, Error> {
        let malformed = |problem| Error::Malformed { problem };
        if note.len() > NOTE_BYTES_MAX {
            return Err(Error::TooLong { bytes: note.len() });
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(malformed("it has control characters, such as a carriage return"));
        }
        let split = note.rfind("\n\n").ok_or(malformed("no empty line ends its text"))?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let lines = signatures.strip_suffix('\n');
        let lines = lines.ok_or(malformed("no signature line with a newline ends it"))?;
        if lines.split('\n').nth(SIGNATURES_MAX).is_some() {
            return Err(Error::TooManySignatures);
        }
        let signatures: Option<Vec<_>> = lines.split('\n').map(Signed::of).collect();
        let signatures = signatures.ok_or(malformed("a line below its text is no signature"))?;
        Ok(Self { text, signatures })
    }
}

impl<'a> Signed<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
        let decoded = from_base64(encoded)?;
        let (id, signature) = decoded.split_first_chunk::<4>()?;
        let sound = is_name(name) && !signature.is_empty();
        sound.then(|| Self { name, id: KeyId(*id), signature: signature.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    // From the documentation of golang.org/x/mod/sumdb/note, the first signed notes.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNER: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n\
                        \n\
                        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1\
                        FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn peter() -> VerifierKey {
        VERIFIER.parse().unwrap()
    }

    fn signer(name: &str, seed: u8) -> SignerKey {
        SignerKey::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_note_is_signed_and_opened_as_by_other_implementations() {
        assert_eq!(sign(TEXT, &[&SIGNER.parse().unwrap()]).unwrap(), NOTE);
        let trusted = [peter()];
        let note = open(NOTE, &trusted).unwrap();
        assert_eq!((note.text, note.signed_by), (TEXT, vec![&trusted[0]]));
        // The example of C2SP signed-note.
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRl\
                    L1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let trusted = [key.parse().unwrap()];
        assert_eq!(open(note, &trusted).unwrap().text, "This is an example message.\n");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let trusted = [peter()];
        let mut bytes = NOTE.as_bytes().to_vec();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert!(open(text, &trusted).is_err(), "bit {bit}: {text}");
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in (0..NOTE.len()).filter(|length| NOTE.is_char_boundary(*length)) {
            assert!(open(&NOTE[..length], &trusted).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn unknown_signatures_are_ignored_and_one_known_one_must_hold() {
        let (old, new, other) = (signer("log", 1), signer("log", 2), signer("witness", 3));
        let note = sign("text\n", &[&old, &new, &other]).unwrap();
        let [old, new, other] = [old, new, other].map(|key| key.verifier().clone());
        let signed_by = |trusted: &[VerifierKey]| -> Result<Vec<VerifierKey>, Error> {
            open(&note, trusted).map(|note| note.signed_by.into_iter().cloned().collect())
        };
        for key in [&old, &new, &other] {
            let signed_by = signed_by(std::slice::from_ref(key)).unwrap();
            assert_eq!(signed_by.iter().collect::<Vec<_>>(), [key]);
        }
        assert_eq!(signed_by(&[peter(), other.clone(), new.clone()]).unwrap(), [new, other]);
        let untrusted = Error::Untrusted { name: "log".into(), id: old.id() };
        assert_eq!(signed_by(&[peter()]).unwrap_err(), untrusted);
        assert_eq!(signed_by(&[]).unwrap_err(), untrusted);
        // Same name, other key: unknown. A signature twice counts once.
        let doubled = note.lines().nth(2).unwrap();
        let trusted = [old];
        assert_eq!(open(&format!("{note}{doubled}\n"), &trusted).unwrap().signed_by.len(), 1);
    }

    #[test]
    fn a_bad_signature_by_a_known_key_is_not_outweighed_by_a_good_one() {
        let (good, bad) = (signer("log", 1), signer("log", 2));
        let (note, other) = (sign("text\n", &[&good]).unwrap(), sign("more\n", &[&bad]).unwrap());
        let note = format!("{note}{}\n", other.lines().last().unwrap());
        let trusted = [good, bad].map(|key| key.verifier().clone());
        let refused = Error::BadSignature { name: "log".into(), id: trusted[1].id() };
        assert_eq!(open(&note, &trusted).unwrap_err(), refused);
        assert!(open(&note, &trusted[..1]).is_ok());
    }

    #[test]
    fn what_is_not_written_as_a_note_is_refused() {
        let trusted = [peter()];
        let signature = NOTE.lines().last().unwrap();
        for text in [
            "",
            "\n",
            "\n\n",
            TEXT,
            &NOTE.replace('\n', "\r\n"),
            &NOTE.replace("\n\n", "\n"),
            &NOTE.replace('\u{2014}', "-"),
            &NOTE.replace('\u{2014}', "\u{2013}"),
            &NOTE.replace("\u{2014} ", "\u{2014}"),
            &NOTE.replace("AM=\n", "AN=\n"),
            &NOTE.replace("AM=\n", "AM\n"),
            &NOTE.replace("AM=\n", "AM= \n"),
            &format!("{NOTE}\n"),
            &format!("{NOTE} "),
            &format!("\u{feff}{NOTE}"),
            &format!("{NOTE}{TEXT}"),
            &format!("{NOTE}\n{signature}\n"),
            &format!("{TEXT}\n\u{2014} a AAAAAA==\n{signature}\n"),
            &format!("{TEXT}\n\u{2014}  {signature}\n"),
        ] {
            assert!(open(text, &trusted).is_err(), "{text:?}");
        }
        for text in ["", "text", "te\txt\n", "te\0xt\n"] {
            assert!(sign(text, &[&signer("log", 1)]).is_err(), "{text:?}");
        }
        assert!(sign("text\n", &[]).is_err());
        assert!(sign("\nempty lines\n\nare text\n\n", &[&signer("log", 1)]).is_ok());
    }

    #[test]
    fn notes_are_bounded() {
        let key = signer("log", 1);
        let trusted = [key.verifier().clone()];
        let most = vec![&key; SIGNATURES_MAX];
        assert!(open(&sign("text\n", &most).unwrap(), &trusted).is_ok());
        let more = vec![&key; SIGNATURES_MAX + 1];
        assert_eq!(sign("text\n", &more).unwrap_err(), Error::TooManySignatures);
        let long = format!("{}\n", "a".repeat(NOTE_BYTES_MAX));
        assert!(matches!(sign(&long, &[&key]).unwrap_err(), Error::TooLong { .. }));
    }
}
