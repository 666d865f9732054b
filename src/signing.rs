//! The file of the keys that sign the tokens of sessions: made at first use, for its user alone.
//!
//! Each line is a key. The first signs; those behind it are former ones, each with the moment until
//! which tokens of it may still be shown.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use genie_core::clock::Timestamp;
use genie_core::ids::Ids;
use serde_json::json;
use zeroize::Zeroizing;

/// The file within a data directory.
pub(crate) const FILE: &str = "tokens.key";
/// What the text of a key begins with, so that one that leaks is recognised.
const PREFIX: &str = "genie-tokens-ed25519:";
/// What stands between a former key and its end.
const UNTIL: &str = " until ";
/// Bytes of a key's seed.
const SEED_BYTES: usize = 32;
/// Most keys of a file, so that rotating without end does not make it grow without end.
const KEYS_MAX: usize = 64;
/// Largest file that is read, in bytes; of text of this length, no more than one copy is made.
const BYTES_MAX: usize = 16 << 10;

/// Fewest different bytes in a seed that was drawn at random.
const DISTINCT_BYTES_MIN: usize = 12;

/// The seed of a key.
pub(crate) type Seed = Zeroizing<[u8; SEED_BYTES]>;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read or written.
    #[error("the key that signs tokens cannot be kept in `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is something else in the file.
    #[error(
        "`{}` holds no key that signs tokens; restore it, or remove it and have everybody sign in \
         again", .0.display()
    )]
    Malformed(PathBuf),
    /// Nobody drew it at random.
    #[error(
        "`{}` holds a key that is not random, and so easy to guess; remove it, and have everybody \
         sign in again", .0.display()
    )]
    Weak(PathBuf),
    /// Others can read it.
    #[error(
        "others can read the secret key in `{path}`; run `chmod 600 {path}`, and then `genie keys \
         rotate-tokens --forget` if they may have", path = .0.display()
    )]
    Exposed(PathBuf),
    /// There is no file.
    #[error("there is no key `{}`; `genie serve` makes one", .0.display())]
    Missing(PathBuf),
    /// There is no room for another key.
    #[error(
        "`{}` holds {KEYS_MAX} keys of which tokens are still good; wait, or have everybody sign \
         in again with `--forget`", .0.display()
    )]
    Full(PathBuf),
}

/// A key, and until when its tokens may be shown; the first has no such end.
struct Held {
    seed: Seed,
    until: Option<Timestamp>,
}

/// A fresh seed.
pub(crate) fn made(ids: &dyn Ids) -> Seed {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&ids.random().to_be_bytes());
    }
    seed
}

/// The seeds in this file of which tokens may be shown at this moment, the one that signs first;
/// the first use makes one.
///
/// # Errors
/// [`Error`].
pub(crate) fn load_or_make(
    path: &Path,
    (ids, now): (&dyn Ids, Timestamp),
) -> Result<Vec<Seed>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match seeds(path, now) {
        Err(Error::Missing(_)) => {}
        loaded => return loaded,
    }
    let key = Held { seed: made(ids), until: None };
    let draft = draft(path);
    let written = write(&draft, std::slice::from_ref(&key));
    // A link is refused where another process was quicker, and then its key is the one.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _ = fs::remove_file(&draft);
    linked.map_err(failed)?;
    seeds(path, now)
}

/// As [`load_or_make`], where there must be a file.
pub(crate) fn seeds(path: &Path, now: Timestamp) -> Result<Vec<Seed>, Error> {
    let mut keys = load(path)?;
    keys.retain(|key| key.until.is_none_or(|until| until > now));
    Ok(keys.into_iter().map(|key| key.seed).collect())
}

/// What becomes of the keys before, when another signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Former {
    /// Their tokens are good until this moment.
    Until(Timestamp),
    /// Their tokens are good no more.
    Forgotten,
}

/// Makes a key that signs from now on; gives its seed.
///
/// # Errors
/// [`Error`].
pub(crate) fn rotate(
    path: &Path,
    (ids, now): (&dyn Ids, Timestamp),
    former: Former,
) -> Result<Seed, Error> {
    let before = load(path)?;
    let seed = made(ids);
    let mut keys = vec![Held { seed: seed.clone(), until: None }];
    if let Former::Until(end) = former {
        let kept = before.into_iter().map(|key| Held { until: key.until.or(Some(end)), ..key });
        keys.extend(kept.filter(|key| key.until.is_some_and(|until| until > now)));
    }
    if keys.len() > KEYS_MAX {
        return Err(Error::Full(path.to_owned()));
    }
    let draft = draft(path);
    let placed = write(&draft, &keys).and_then(|()| fs::rename(&draft, path));
    let _ = fs::remove_file(&draft);
    placed.map_err(|source| Error::File { path: path.to_owned(), source })?;
    Ok(seed)
}

fn draft(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.tmp", std::process::id()))
}

fn load(path: &Path) -> Result<Vec<Held>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing(path.to_owned()));
        }
        file => file.map_err(failed)?,
    };
    if is_exposed(&file) {
        return Err(Error::Exposed(path.to_owned()));
    }
    // Large enough from the start: what grows leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX + 1));
    file.take(BYTES_MAX as u64).read_to_string(&mut text).map_err(failed)?;
    let keys: Option<Vec<Held>> = text.lines().map(parsed).collect();
    // One signs, and it is the first.
    let is_whole = |keys: &Vec<Held>| {
        let ends: Vec<bool> = keys.iter().map(|key| key.until.is_some()).collect();
        ends.split_first().is_some_and(|(first, rest)| !first && rest.iter().all(|end| *end))
    };
    let keys = keys.filter(is_whole).ok_or_else(|| Error::Malformed(path.to_owned()))?;
    let is_weak = |key: &Held| key.seed.iter().collect::<BTreeSet<_>>().len() < DISTINCT_BYTES_MIN;
    if keys.iter().any(is_weak) { Err(Error::Weak(path.to_owned())) } else { Ok(keys) }
}

/// The key that a line holds.
fn parsed(line: &str) -> Option<Held> {
    let (key, until) = match line.trim_end().split_once(UNTIL) {
        Some((key, until)) => (key, Some(serde_json::from_value(json!(until)).ok()?)),
        None => (line.trim_end(), None),
    };
    let hex = key.strip_prefix(PREFIX)?;
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    if hex.len() != SEED_BYTES * 2 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(Held { seed, until })
}

fn write(path: &Path, keys: &[Held]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    for Held { seed, until } in keys {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * seed.len() + 64));
        text.push_str(PREFIX);
        for byte in seed.iter() {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        if let Some(until) = until {
            text.push_str(UNTIL);
            text.push_str(&until.to_string());
        }
        text.push('\n');
        file.write_all(text.as_bytes())?;
    }
    file.sync_all()
}

#[cfg(unix)]
fn is_exposed(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use genie_core::ids::SeededIds;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn the_first_use_makes_a_key_that_stays_and_that_only_its_user_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data").join(FILE);
        let load = |seed| load_or_make(&path, (&SeededIds::new(seed), at(0)));
        let made = load(1).unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(load(2).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = load(3).unwrap_err();
            assert!(matches!(error, Error::Exposed(_)), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        for wrong in ["", "something else", &text.repeat(2), &text.replace('\n', " until soon\n")] {
            fs::write(&path, wrong).unwrap();
            let error = load(3).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_former_key_stays_behind_the_new_one_until_its_end_or_goes_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let ids = SeededIds::new(1);
        let missing = rotate(&path, (&ids, at(0)), Former::Forgotten).unwrap_err();
        assert!(matches!(missing, Error::Missing(_)), "{missing}");
        let first = load_or_make(&path, (&ids, at(0))).unwrap().remove(0);
        let second = rotate(&path, (&ids, at(10)), Former::Until(at(110))).unwrap();
        let third = rotate(&path, (&ids, at(20)), Former::Until(at(120))).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let of = |now| seeds(&path, at(now)).unwrap();
        assert_eq!(of(30), [third.clone(), second.clone(), first]);
        assert_eq!(of(110), [third.clone(), second], "a later rotation gives no more time");
        assert_eq!(of(120), std::slice::from_ref(&third));
        let fourth = rotate(&path, (&ids, at(115)), Former::Until(at(200))).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3, "what is over is gone");
        assert_eq!(of(120), [fourth, third]);
        let last = rotate(&path, (&ids, at(120)), Former::Forgotten).unwrap();
        assert_eq!(of(120), [last]);
    }
}
