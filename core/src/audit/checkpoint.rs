//! Checkpoints: the head of a log's tree, signed, as in C2SP tlog-checkpoint
//! (<https://c2sp.org/tlog-checkpoint>).
//!
//! ```text
//! genie.example.com/log
//! 1042
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//! genie-chain-head 1042 5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e
//!
//! — genie.example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGz…
//! ```
//!
//! The fourth line is ours and optional: the hash of the last record, which the root commits to as
//! well, so that the chain can be checked where the records before it are no longer kept. Other
//! extension lines are passed over.
//!
//! A log's key has its origin for a name. To rotate it, sign with the old key and the new one until
//! everyone trusts the new one.

use super::encoding::{base64, decimal, hash_from_base64};
use super::keys::{SignerKey, VerifierKey};
use super::merkle::TreeHead;
use super::note;
use crate::journal::chain::{Hash, Head};

/// What our extension line starts with.
const CHAIN_HEAD: &str = "genie-chain-head ";

/// Why a checkpoint cannot be made or trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// As a note it is not sound, or nobody trusted has signed it.
    #[error("the checkpoint cannot be trusted: {0}")]
    Note(#[from] note::Error),
    /// A trusted key has signed it, but no key of the log that it is about.
    #[error("the checkpoint is of `{origin}`, and no key of that name has signed it")]
    Origin {
        /// The log that it claims to be of.
        origin: String,
    },
    /// The text is not that of a checkpoint.
    #[error("the signed text is not a checkpoint: {problem}")]
    Malformed {
        /// In what it differs, in a clause.
        problem: &'static str,
    },
}

/// The state of a log at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Its tree.
    pub tree: TreeHead,
    /// The last record of the tree, if it is named; its `seq` is the size of the tree.
    pub head: Option<Head>,
}

impl Checkpoint {
    /// The signed checkpoint as text.
    ///
    /// # Errors
    /// [`Error::Origin`] if no signer has the log's name, [`Error::Malformed`] if the head is not
    /// that of the tree, [`Error::Note`] if there are too many signers.
    pub fn sign(&self, signers: &[&SignerKey]) -> Result<String, Error> {
        self.of_its_log(signers.iter().map(|signer| signer.verifier()))?;
        let Self { origin, tree: TreeHead { size, root }, head } = self;
        let mut text = format!("{origin}\n{size}\n{}\n", base64(&root.0));
        if let Some(Head { seq, hash }) = head {
            if seq != size {
                return Err(malformed("its chain head is not the last record of its tree"));
            }
            text.extend([CHAIN_HEAD, &seq.to_string(), " ", &hash.to_string(), "\n"]);
        }
        Ok(note::sign(&text, signers)?)
    }

    /// Checks a signed checkpoint; any one of several trusted keys will do, one of them the log's.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn open(signed: &str, trusted: &[VerifierKey]) -> Result<Self, Error> {
        let note = note::open(signed, trusted)?;
        let checkpoint = Self::parse(note.text).map_err(malformed)?;
        checkpoint.of_its_log(note.signed_by.into_iter())?;
        Ok(checkpoint)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_suffix('\n').ok_or("its last line has no newline")?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or("it has no origin")?;
        let size = lines.next().and_then(decimal).ok_or("its second line is no tree size")?;
        let root = lines.next().and_then(hash_from_base64).ok_or("its third line is no hash")?;
        let mut head = None;
        for line in lines {
            if line.is_empty() {
                return Err("it has an empty line");
            }
            let Some(named) = line.strip_prefix(CHAIN_HEAD) else { continue };
            let read = chain_head(named).ok_or("its chain head cannot be read")?;
            if read.seq != size {
                return Err("its chain head is not the last record of its tree");
            }
            if head.replace(read).is_some() {
                return Err("it has two chain heads");
            }
        }
        Ok(Self { origin: origin.to_owned(), tree: TreeHead { size, root }, head })
    }

    fn of_its_log<'a>(&self, mut keys: impl Iterator<Item = &'a VerifierKey>) -> Result<(), Error> {
        let signed = keys.any(|key| key.name() == self.origin);
        if signed { Ok(()) } else { Err(Error::Origin { origin: self.origin.clone() }) }
    }
}

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { problem }
}

fn chain_head(text: &str) -> Option<Head> {
    let (seq, hash) = text.split_once(' ')?;
    Some(Head { seq: decimal(seq)?, hash: Hash::from_hex(hash)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "genie.example.com/log";

    fn signer(name: &str, seed: u8) -> SignerKey {
        SignerKey::from_seed(name, &[seed; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        let tree = TreeHead { size: 1_042, root: Hash::of(b"root") };
        let head = Some(Head { seq: 1_042, hash: Hash::of(b"head") });
        Checkpoint { origin: ORIGIN.into(), tree, head }
    }

    fn trusting(keys: &[&SignerKey]) -> Vec<VerifierKey> {
        keys.iter().map(|key| key.verifier().clone()).collect()
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        // C2SP tlog-checkpoint, section "Transparency Log Checkpoints".
        let text = "example.com/behind-the-sofa\n20852163\n\
                    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let read = Checkpoint::parse(text).unwrap();
        assert_eq!((&*read.origin, read.tree.size), ("example.com/behind-the-sofa", 20_852_163));
        let root = "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62";
        assert_eq!(read.tree.root.to_string(), root);
        assert_eq!(read.head, None);
    }

    #[test]
    fn what_is_signed_is_what_is_opened() {
        let key = signer(ORIGIN, 1);
        for head in [checkpoint().head, None] {
            let checkpoint = Checkpoint { head, ..checkpoint() };
            let signed = checkpoint.sign(&[&key]).unwrap();
            assert_eq!(Checkpoint::open(&signed, &trusting(&[&key])).unwrap(), checkpoint);
        }
    }

    #[test]
    fn a_key_is_rotated_by_signing_with_both() {
        let (old, new, witness) = (signer(ORIGIN, 1), signer(ORIGIN, 2), signer("witness", 3));
        let signed = checkpoint().sign(&[&old, &new, &witness]).unwrap();
        for keys in [vec![&old], vec![&new], vec![&old, &new], vec![&witness, &new]] {
            assert_eq!(Checkpoint::open(&signed, &trusting(&keys)).unwrap(), checkpoint());
        }
        let stranger = signer(ORIGIN, 4);
        assert!(matches!(
            Checkpoint::open(&signed, &trusting(&[&stranger])),
            Err(Error::Note(note::Error::Untrusted { .. }))
        ));
    }

    #[test]
    fn a_key_speaks_for_its_own_log_only() {
        let (other, own) = (signer("other.example.com/log", 1), signer(ORIGIN, 2));
        let refused = Error::Origin { origin: ORIGIN.into() };
        assert_eq!(checkpoint().sign(&[&other]).unwrap_err(), refused);
        // Whoever has the key of one log cannot make a checkpoint of another.
        let signed = checkpoint().sign(&[&own, &other]).unwrap();
        assert_eq!(Checkpoint::open(&signed, &trusting(&[&other])).unwrap_err(), refused);
        assert!(Checkpoint::open(&signed, &trusting(&[&other, &own])).is_ok());
    }

    #[test]
    fn the_chain_head_is_that_of_the_tree() {
        let head = Some(Head { seq: 1_041, hash: Hash::of(b"head") });
        let checkpoint = Checkpoint { head, ..checkpoint() };
        let refused = checkpoint.sign(&[&signer(ORIGIN, 1)]).unwrap_err();
        assert!(matches!(refused, Error::Malformed { .. }));
    }

    #[test]
    fn what_is_not_written_as_a_checkpoint_is_refused() {
        let hash = base64(&Hash::of(b"root").0);
        let head = format!("genie-chain-head 7 {}", Hash::of(b"head"));
        let check = |text: String, sound: bool| {
            let key = signer("log", 1);
            let signed = note::sign(&text, &[&key]).unwrap();
            let opened = Checkpoint::open(&signed, &trusting(&[&key]));
            assert_eq!(opened.is_ok(), sound, "{text:?}: {opened:?}");
        };
        check(format!("log\n7\n{hash}\n"), true);
        check(format!("log\n7\n{hash}\n{head}\n"), true);
        check(format!("log\n7\n{hash}\nanother extension\n{head}\nmore\n"), true);
        check(format!("log\n18446744073709551615\n{hash}\n"), true);
        for size in ["", "07", "+7", "-7", " 7", "7 ", "0x7", "7.0", "18446744073709551616"] {
            check(format!("log\n{size}\n{hash}\n"), false);
        }
        for root in ["", "AAAA", &hash[1..], &hash[..43], &format!("{hash} ")] {
            check(format!("log\n7\n{root}\n"), false);
        }
        check(format!("\n7\n{hash}\n"), false);
        check("log\n7\n".into(), false);
        check(format!("log\n7\n{hash}\n\n{head}\n"), false);
        check(format!("log\n7\n{hash}\n\n"), false);
        check(format!("log\n8\n{hash}\n{head}\n"), false);
        check(format!("log\n7\n{hash}\n{head}\n{head}\n"), false);
        check(format!("log\n7\n{hash}\n{head} \n"), false);
        check(format!("log\n7\n{hash}\n{}\n", head.replace(" 7 ", " 07 ")), false);
        check(format!("log\n7\n{hash}\n{}\n", head.to_uppercase().to_lowercase()), true);
    }
}
