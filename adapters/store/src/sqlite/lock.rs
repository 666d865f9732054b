//! The lock on a data directory: one process owns the runs in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// A directory that this process holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

/// What came of the attempt.
#[derive(Debug)]
pub(crate) enum Locked {
    /// It is ours.
    Held(Held),
    /// It belongs to a process with this id, as it says itself.
    Owned(String),
}

/// Makes the directory, for this user alone, and locks it. The system lets go of the lock when the
/// process ends, however it does.
pub(crate) fn lock(directory: &Path) -> io::Result<Locked> {
    if !directory.is_dir() {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    let path = directory.join("genie.lock");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            Ok(Locked::Held(Held { _file: file }))
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            Ok(Locked::Owned(if pid.is_empty() { "?".to_owned() } else { pid }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
