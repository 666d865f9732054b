//! The files of the checkpoint key: the secret one that signs, and the list of those to trust.
//!
//! `checkpoint.key` holds the key that signs and, after a rotation, the one before it, until a
//! checkpoint has both signatures. `checkpoint.pub` beside it lists every verifier key so far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use genie_core::audit::keys::{self, SignerKey, VerifierKey};
use genie_core::ids::Ids;

/// The file of the key within a data directory.
pub(crate) const FILE: &str = "checkpoint.key";
/// Largest file of keys that is read, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Why keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line of a file is not a key.
    #[error("{}:{line}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: keys::Error,
    },
    /// There is no key in the file.
    #[error("`{}` holds no key; restore it from a backup", .0.display())]
    Empty(PathBuf),
    /// Others can read the secret key.
    #[error(
        "others can read the secret key in `{path}`; run `chmod 600 {path}`, and then `genie audit \
         rotate-key` if they may have", path = .0.display()
    )]
    Exposed(PathBuf),
    /// There is no key yet.
    #[error("there is no checkpoint key `{}`; `genie audit checkpoint` makes one", .0.display())]
    Missing(PathBuf),
}

/// Where the key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile(PathBuf);

/// The keys that sign, the current one first.
#[derive(Debug)]
pub(crate) struct Keys(Vec<SignerKey>);

impl Keys {
    /// The keys under the name that they have for a chain, the current one first.
    pub(crate) fn of_chain(&self, chain: i64) -> Result<Vec<SignerKey>, keys::Error> {
        self.0.iter().map(|key| key.named(&origin(key.verifier().name(), chain))).collect()
    }

    /// The origin of the checkpoints of a chain.
    pub(crate) fn origin(&self, chain: i64) -> String {
        self.0.first().map_or_else(String::new, |key| origin(key.verifier().name(), chain))
    }

    /// Whether an earlier key is to sign once more.
    fn is_rotating(&self) -> bool {
        self.0.len() > 1
    }
}

/// The log of a chain, named after the installation.
fn origin(installation: &str, chain: i64) -> String {
    format!("{installation}/{chain}")
}

/// The names that installation-wide keys have for a chain.
pub(crate) fn for_chain(keys: &[VerifierKey], chain: i64) -> Vec<VerifierKey> {
    let named = |key: &VerifierKey| key.named(&origin(key.name(), chain)).ok();
    keys.iter().filter_map(named).collect()
}

impl KeyFile {
    /// The key in this file.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn list(&self) -> PathBuf {
        self.0.with_extension("pub")
    }

    /// The keys, if there are any.
    pub(crate) fn load(&self) -> Result<Option<Keys>, Error> {
        let Some(text) = read(&self.0)? else { return Ok(None) };
        if self.is_exposed() {
            return Err(Error::Exposed(self.0.clone()));
        }
        let keys = parse::<SignerKey>(&self.0, &text)?;
        if keys.is_empty() {
            return Err(Error::Empty(self.0.clone()));
        }
        Ok(Some(Keys(keys)))
    }

    /// The keys; the first use makes one.
    pub(crate) fn load_or_make(&self, ids: &dyn Ids) -> Result<Keys, Error> {
        if let Some(keys) = self.load()? {
            return Ok(keys);
        }
        let installation = format!("genie/{:012x}", ids.random() >> 16);
        let key = made(&self.0, &installation, ids)?;
        // To be trusted before it signs anything.
        self.trust(key.verifier())?;
        if self.write(&[&key], Replace::No)? {
            return Ok(Keys(vec![key]));
        }
        // Another process was quicker, and its key is the one.
        self.load()?.ok_or_else(|| Error::Missing(self.0.clone()))
    }

    /// Makes a new key; the one before signs once more.
    pub(crate) fn rotate(&self, ids: &dyn Ids) -> Result<VerifierKey, Error> {
        let Keys(before) = self.load()?.ok_or_else(|| Error::Missing(self.0.clone()))?;
        let name = before.first().map_or("", |key| key.verifier().name());
        let key = made(&self.0, name, ids)?;
        self.trust(key.verifier())?;
        let both: Vec<&SignerKey> = std::iter::once(&key).chain(&before).collect();
        self.write(&both, Replace::Yes)?;
        Ok(key.verifier().clone())
    }

    /// Lets go of earlier keys once a checkpoint has all of these signatures.
    pub(crate) fn retire(&self, keys: &Keys) -> Result<(), Error> {
        if let (true, [current, ..]) = (keys.is_rotating(), keys.0.as_slice()) {
            self.write(&[current], Replace::Yes)?;
        }
        Ok(())
    }

    /// The installation's verifier keys, the current one and those before it.
    pub(crate) fn trusted(&self) -> Result<Vec<VerifierKey>, Error> {
        let list = self.list();
        let text = read(&list)?.unwrap_or_default();
        parse(&list, &text)
    }

    fn trust(&self, key: &VerifierKey) -> Result<(), Error> {
        if self.trusted()?.contains(key) {
            return Ok(());
        }
        let list = self.list();
        let unwritable = |source| Error::Unwritable { path: list.clone(), source };
        if let Some(directory) = list.parent() {
            fs::create_dir_all(directory).map_err(unwritable)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&list);
        let mut file = file.map_err(unwritable)?;
        writeln!(file, "{key}").and_then(|()| file.sync_all()).map_err(unwritable)
    }

    /// Writes the secret keys, whole or not at all; `false` if a file is there that must stay.
    fn write(&self, keys: &[&SignerKey], replace: Replace) -> Result<bool, Error> {
        let unwritable = |source| Error::Unwritable { path: self.0.clone(), source };
        let draft = self.0.with_extension(format!("{}.tmp", std::process::id()));
        let written = private(&draft).and_then(|mut file| {
            for key in keys {
                file.write_all(key.to_secret_text().as_bytes())?;
                file.write_all(b"\n")?;
            }
            file.sync_all()
        });
        let placed = written.and_then(|()| match replace {
            Replace::Yes => fs::rename(&draft, &self.0).map(|()| true),
            // A link is refused where there is a file, a renaming is not.
            Replace::No => match fs::hard_link(&draft, &self.0) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                linked => linked.map(|()| true),
            },
        });
        let _ = fs::remove_file(&draft);
        placed.map_err(unwritable)
    }

    #[cfg(unix)]
    fn is_exposed(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let others = |metadata: fs::Metadata| metadata.permissions().mode() & 0o077 != 0;
        self.0.metadata().is_ok_and(others)
    }

    #[cfg(not(unix))]
    fn is_exposed(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Yes,
    No,
}

/// A file that only this user can read.
fn private(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn made(path: &Path, name: &str, ids: &dyn Ids) -> Result<SignerKey, Error> {
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&ids.random().to_le_bytes());
    }
    let path = path.to_owned();
    SignerKey::from_seed(name, &seed).map_err(|source| Error::Malformed { path, line: 1, source })
}

/// The text of a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text))
}

/// Keys, one a line; empty lines and those that begin with `#` are passed over.
fn parse<K: std::str::FromStr<Err = keys::Error>>(
    path: &Path,
    text: &str,
) -> Result<Vec<K>, Error> {
    let lines =
        (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let key = |(line, text): (usize, &str)| {
        let path = path.to_owned();
        text.parse().map_err(|source| Error::Malformed { path, line, source })
    };
    lines.map(key).collect()
}

/// The verifier keys that a user gives: the text of one, or a file with one a line.
pub(crate) fn given(text: &str) -> Result<Vec<VerifierKey>, Error> {
    if let Ok(key) = text.parse() {
        return Ok(vec![key]);
    }
    let path = Path::new(text);
    let found = read(path)?.ok_or_else(|| Error::Unreadable {
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let keys = parse(path, &found)?;
    if keys.is_empty() { Err(Error::Empty(path.to_owned())) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use genie_core::ids::SeededIds;

    use super::*;

    fn place() -> (tempfile::TempDir, KeyFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data").join(FILE);
        (directory, KeyFile::at(path))
    }

    #[test]
    fn the_first_use_makes_a_key_that_only_its_user_can_read() {
        let (_directory, file) = place();
        assert!(file.load().unwrap().is_none());
        let keys = file.load_or_make(&SeededIds::new(1)).unwrap();
        let again = file.load_or_make(&SeededIds::new(2)).unwrap();
        assert_eq!(keys.origin(1), again.origin(1));
        let verifier = keys.0[0].verifier().clone();
        assert_eq!(file.trusted().unwrap(), [verifier]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.path().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(file.load(), Err(Error::Exposed(_))));
        }
    }

    #[test]
    fn after_a_rotation_both_keys_sign_until_the_earlier_one_is_retired() {
        let (_directory, file) = place();
        let first = file.load_or_make(&SeededIds::new(1)).unwrap().0[0].verifier().clone();
        let second = file.rotate(&SeededIds::new(2)).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.name(), second.name());
        let keys = file.load().unwrap().unwrap();
        let signers: Vec<String> =
            keys.of_chain(3).unwrap().iter().map(|key| key.verifier().to_string()).collect();
        assert!(signers[0].starts_with(&format!("{}/3+", second.name())), "{signers:?}");
        assert_eq!(signers.len(), 2);
        file.retire(&keys).unwrap();
        assert_eq!(file.load().unwrap().unwrap().0.len(), 1);
        assert_eq!(file.trusted().unwrap(), [first, second]);
    }

    #[test]
    fn a_key_that_cannot_be_read_is_named_with_its_line() {
        let (directory, _) = place();
        let path = directory.path().join("keys");
        fs::write(&path, "# ours\n\nnonsense\n").unwrap();
        let error = given(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "keys:3: a verifier key reads `NAME+ID+BASE64`; copy it whole, on \
                                 one line"
            ),
            "{error}"
        );
        let missing = given("/nowhere/keys").unwrap_err();
        assert_eq!(missing.to_string(), "cannot read `/nowhere/keys`");
    }
}
