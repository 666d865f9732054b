//! The file of the key that signs the tokens of sessions: made at first use, for its user alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use genie_core::ids::Ids;
use zeroize::Zeroizing;

/// The file within a data directory.
pub(crate) const FILE: &str = "tokens.key";
/// What the text of a key begins with, so that one that leaks is recognised.
const PREFIX: &str = "genie-tokens-ed25519:";
/// Bytes of a key's seed.
const SEED_BYTES: usize = 32;

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
    /// Others can read it.
    #[error(
        "others can read the secret key in `{path}`; run `chmod 600 {path}`", path = .0.display()
    )]
    Exposed(PathBuf),
}

/// A fresh seed.
pub(crate) fn made(ids: &dyn Ids) -> Seed {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    for part in seed.chunks_exact_mut(8) {
        part.copy_from_slice(&ids.random().to_be_bytes());
    }
    seed
}

/// The seed in this file; the first use makes one.
///
/// # Errors
/// [`Error`].
pub(crate) fn load_or_make(path: &Path, ids: &dyn Ids) -> Result<Seed, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(seed) = load(path)? {
        return Ok(seed);
    }
    let seed = made(ids);
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write(&draft, &seed);
    // A link is refused where another process was quicker, and then its key is the one.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    let _ = fs::remove_file(&draft);
    if linked.map_err(failed)? {
        return Ok(seed);
    }
    load(path)?.ok_or_else(|| Error::Malformed(path.to_owned()))
}

fn load(path: &Path) -> Result<Option<Seed>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    if is_exposed(&file) {
        return Err(Error::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(1_024).read_to_string(&mut text).map_err(failed)?;
    let seed = text.trim_end().strip_prefix(PREFIX).and_then(parsed);
    seed.map(Some).ok_or_else(|| Error::Malformed(path.to_owned()))
}

fn parsed(hex: &str) -> Option<Seed> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    if hex.len() != SEED_BYTES * 2 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(seed)
}

fn write(path: &Path, seed: &Seed) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // Large enough from the start: what grows leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * seed.len() + 1));
    text.push_str(PREFIX);
    for byte in seed.iter() {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
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

    #[test]
    fn the_first_use_makes_a_key_that_stays_and_that_only_its_user_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data").join(FILE);
        let made = load_or_make(&path, &SeededIds::new(1)).unwrap();
        assert_eq!(load_or_make(&path, &SeededIds::new(2)).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = load_or_make(&path, &SeededIds::new(3)).unwrap_err();
            assert!(matches!(error, Error::Exposed(_)), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, "something else").unwrap();
        let error = load_or_make(&path, &SeededIds::new(3)).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
}
