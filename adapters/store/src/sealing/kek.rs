//! The key-encryption keys: where an installation keeps them, outside the database.
//!
//! A file or a setting holds one or more, each 32 random bytes in hexadecimal or Base64. New keys
//! of subjects are wrapped with the one that the database names, which is the first here unless a
//! rotation is under way; the others are there to read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use genie_core::journal::chain::Hash;
use zeroize::Zeroizing;

use super::cipher::{Cipher, Failed, KEY_BYTES, random};

/// Largest file of keys that is read, in bytes.
const BYTES_MAX: u64 = 64 << 10;
/// Fewest different bytes in a key that somebody drew at random.
const DISTINCT_BYTES_MIN: usize = 12;
/// Domain separation for the names of keys.
const NAME_DOMAIN: &[u8] = b"genie/kek/v1\n";

/// Why key-encryption keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others can read the keys.
    #[error(
        "others can read the sealing key in `{path}`; run `chmod 600 {path}`, and then `genie keys \
         rotate` if they may have", path = .0.display()
    )]
    Exposed(PathBuf),
    /// There is no key.
    #[error("{0} holds no sealing key; restore it from a backup")]
    Empty(String),
    /// A line is not a key.
    #[error(
        "{place}, line {line}: a sealing key is 32 random bytes in hexadecimal or Base64; \
         `openssl rand -hex 32` makes one"
    )]
    Malformed {
        /// Where it stands.
        place: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// Nobody drew this at random.
    #[error(
        "{place}, line {line}: the sealing key is not random, and so easy to guess; `openssl rand \
         -hex 32` makes one"
    )]
    Weak {
        /// Where it stands.
        place: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// No randomness.
    #[error("the operating system gives no randomness for a key")]
    Random,
}

/// One key-encryption key. Cheap to clone; wiped when the last one goes.
#[derive(Clone)]
pub struct Kek {
    id: Arc<str>,
    key: Arc<Zeroizing<[u8; KEY_BYTES]>>,
}

impl fmt::Debug for Kek {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kek").field(&self.id).finish()
    }
}

impl Kek {
    fn of(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut named = Zeroizing::new(NAME_DOMAIN.to_vec());
        named.extend(&key[..]);
        let id = Hash::of(&named).to_string();
        Self { id: id[..16].into(), key: Arc::new(key) }
    }

    /// Draws one.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        random().map(Self::of).map_err(|Failed| KeyError::Random)
    }

    /// Its name, by which the database refers to it: 16 hex digits that say nothing of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn cipher(&self) -> Result<Cipher, Failed> {
        Cipher::new(&self.key)
    }

    fn line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        for byte in self.key.iter() {
            // Writing to a string cannot fail.
            let _ = fmt::Write::write_fmt(&mut *line, format_args!("{byte:02x}"));
        }
        line.push('\n');
        line
    }

    fn parse(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if text.len() == 2 * KEY_BYTES {
            for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
            }
            return Some(Self::of(key));
        }
        let decoded = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
        let decoded = Zeroizing::new(decoded.ok()?);
        *key = decoded.as_slice().try_into().ok()?;
        Some(Self::of(key))
    }

    fn is_weak(&self) -> bool {
        let mut bytes = self.key.to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        bytes.len() < DISTINCT_BYTES_MIN
    }
}

/// The keys of an installation, the current one first; at least one.
#[derive(Debug, Clone)]
pub struct Keks(Arc<[Kek]>);

impl PartialEq for Keks {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(Kek::id).eq(other.0.iter().map(Kek::id))
    }
}

impl Eq for Keks {}

impl Keks {
    /// Reads keys, one a line; empty lines and those that begin with `#` are passed over. `place`
    /// says where they stand, for errors.
    ///
    /// # Errors
    /// [`KeyError`] names the line that is no key, or is a weak one.
    pub fn parse(place: &str, text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let place = place.to_owned();
            let Some(key) = Kek::parse(text) else {
                return Err(KeyError::Malformed { place, line });
            };
            if key.is_weak() {
                return Err(KeyError::Weak { place, line });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyError::Empty(place.to_owned())) } else { Ok(Self(keys.into())) }
    }

    /// The first, with which new keys are wrapped.
    #[must_use]
    pub fn current(&self) -> Option<&Kek> {
        self.0.first()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Kek> {
        self.0.iter().find(|key| key.id() == id)
    }

    pub(crate) fn ids(&self) -> String {
        let ids: Vec<String> = self.0.iter().map(|key| format!("`{}`", key.id())).collect();
        ids.join(", ")
    }
}

/// Where the keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file for this user alone; made at first use.
    File(PathBuf),
    /// The environment, or whoever embeds this.
    Given(Keks),
}

impl KeySource {
    /// The keys; `None` if the file is not there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(&self) -> Result<Option<Keks>, KeyError> {
        let path = match self {
            Self::Given(keys) => return Ok(Some(keys.clone())),
            Self::File(path) => path,
        };
        let unreadable = |source| KeyError::Unreadable { path: path.clone(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(unreadable)?,
        };
        if is_exposed(&file).map_err(unreadable)? {
            return Err(KeyError::Exposed(path.clone()));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        Keks::parse(&self.to_string(), &text).map(Some)
    }

    /// The keys; the first use of a file makes one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load_or_make(&self) -> Result<Keks, KeyError> {
        if let Some(keys) = self.load()? {
            return Ok(keys);
        }
        if let Self::File(path) = self {
            // If another process is quicker, its key is the one.
            write(path, &[&Kek::generate()?], Replace::No)?;
        }
        self.load()?.ok_or_else(|| KeyError::Empty(self.to_string()))
    }

    /// Puts a new key before those of the file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn begin_rotation(path: &Path, before: &Keks) -> Result<Keks, KeyError> {
        let new = Kek::generate()?;
        let all: Vec<&Kek> = std::iter::once(&new).chain(before.0.iter()).collect();
        write(path, &all, Replace::Yes)?;
        Ok(Keks(all.into_iter().cloned().collect()))
    }

    /// Lets go of all keys of the file but this one.
    pub(crate) fn end_rotation(path: &Path, key: &Kek) -> Result<(), KeyError> {
        write(path, &[key], Replace::Yes)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "`{}`", path.display()),
            Self::Given(_) => formatter.write_str("the setting"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Yes,
    No,
}

/// Writes keys to a file for this user alone, whole or not at all.
fn write(path: &Path, keys: &[&Kek], replace: Replace) -> Result<(), KeyError> {
    let unwritable = |source| KeyError::Unwritable { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(unwritable)?;
    }
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = private(&draft).and_then(|mut file| {
        for key in keys {
            file.write_all(key.line().as_bytes())?;
        }
        file.sync_all()
    });
    let placed = written.and_then(|()| match replace {
        Replace::Yes => fs::rename(&draft, path),
        // A link is refused where there is a file, a renaming is not.
        Replace::No => match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        },
    });
    let _ = fs::remove_file(&draft);
    placed.map_err(unwritable)
}

/// A new file that only this user can read.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_read_in_hexadecimal_and_in_base64() {
        let text = format!("# ours\n\n{HEX}\n{BASE64}\n{}\n", BASE64.trim_end_matches('='));
        let keys = Keks::parse("x", &text).unwrap();
        assert_eq!(keys.0.len(), 3);
        assert!(keys.0.iter().all(|key| key.id() == keys.0[0].id()));
        let shown = format!("{keys:?}");
        assert!(!shown.contains("0102") && !shown.contains("AAEC"), "{shown}");
    }

    #[test]
    fn a_key_that_is_short_weak_or_missing_is_refused_with_its_line() {
        let error = |text: &str| Keks::parse("`k`", text).unwrap_err().to_string();
        assert!(error(&HEX[2..]).contains("`k`, line 1: a sealing key is 32 random bytes"));
        assert!(error(&format!("#\n{HEX}ff")).contains("line 2"));
        assert!(error(&"00".repeat(32)).contains("not random"));
        assert!(error("password").contains("openssl rand -hex 32"));
        assert!(error("# nothing\n").contains("holds no sealing key"));
    }

    #[test]
    fn the_first_use_makes_a_file_that_only_its_user_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data").join("sealing.key");
        let source = KeySource::File(path.clone());
        assert!(source.load().unwrap().is_none());
        let made = source.load_or_make().unwrap();
        let again = source.load_or_make().unwrap();
        assert_eq!(made.ids(), again.ids());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(source.load(), Err(KeyError::Exposed(_))));
        }
    }

    #[test]
    fn a_rotation_keeps_the_former_key_until_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let source = KeySource::File(path.clone());
        let before = source.load_or_make().unwrap();
        let both = KeySource::begin_rotation(&path, &before).unwrap();
        let read = source.load().unwrap().unwrap();
        assert_eq!(read.ids(), both.ids());
        assert!(read.get(before.current().unwrap().id()).is_some());
        KeySource::end_rotation(&path, both.current().unwrap()).unwrap();
        let after = source.load().unwrap().unwrap();
        assert_eq!(after.0.len(), 1);
        assert_ne!(after.ids(), before.ids());
    }
}
