//! A disk for tests, below SQLite: it can be cut off from power at any write or sync, and then
//! holds only what was synced and any part of the rest; or it refuses writes for a while.
//!
//! It is SQLite's default file layer for the whole process once it is installed, so that the store
//! is tested as it is, and passes everything on to the layer of the operating system. Only files
//! below the directory that is watched count. The shared memory of the log is not on disk.

mod image;
mod layer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use image::{Change, Dice, Image};

pub use image::Keep;

/// What goes wrong, and when: operations count from 1, from the moment that a directory is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power is cut while this operation is under way, and nothing works from then on.
    Cut {
        /// The operation.
        at: u64,
    },
    /// Some operations fail, and what comes after works again.
    Refuse {
        /// The first that fails.
        from: u64,
        /// How many.
        count: u64,
        /// As what.
        how: Refusal,
    },
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The disk is full. A sync fails as [`Refusal::Broken`].
    NoSpace,
    /// The disk reports an error.
    Broken,
}

/// What is asked of the disk.
#[derive(Debug, Clone, Copy)]
enum Operation<'a> {
    Write {
        at: usize,
        bytes: &'a [u8],
    },
    Size(usize),
    /// Of the file, and of the names in its directory if it is new.
    Sync {
        names: bool,
    },
    Remove {
        durable: bool,
    },
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Full,
    Failed,
}

/// A file of the directory that is watched, for as long as it is.
#[derive(Debug, Clone, Copy)]
struct FileId {
    watch: u64,
    place: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the directories that were watched.
    watch: u64,
    directory: PathBuf,
    files: Vec<(PathBuf, Image)>,
    operations: u64,
    fault: Option<Fault>,
    is_cut: bool,
}

/// The disk of this process.
#[derive(Debug, Default)]
pub struct Disk {
    state: Mutex<State>,
}

static DISK: OnceLock<Disk> = OnceLock::new();

impl Disk {
    /// Puts the disk below SQLite, at first use.
    ///
    /// # Errors
    /// SQLite, which has no file layer or takes none.
    pub fn install() -> Result<&'static Self, &'static str> {
        if DISK.get().is_none() {
            layer::register()?;
        }
        Ok(DISK.get_or_init(Self::default))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the files below a directory, none of which is open, from here on. What they hold now
    /// is durable.
    pub fn watch(&self, directory: &Path, fault: Option<Fault>) {
        let mut state = self.state();
        let watch = state.watch + 1;
        *state = State { watch, directory: directory.to_owned(), fault, ..State::default() };
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// Writes what is left of the directory after the cut into another one, which is made.
    ///
    /// # Errors
    /// The real disk.
    pub fn leave(&self, keep: Keep, into: &Path) -> io::Result<()> {
        let state = self.state();
        fs::create_dir_all(into)?;
        for entry in fs::read_dir(&state.directory)? {
            let path = entry?.path();
            let is_ours = state.files.iter().any(|(file, _)| *file == path);
            let name = path.file_name().unwrap_or_default();
            if !is_ours && !name.to_string_lossy().ends_with("-shm") {
                fs::copy(&path, into.join(name))?;
            }
        }
        let mut dice = Dice::of(keep);
        for (path, image) in &state.files {
            if let (Some(content), Some(name)) = (image.remains(&mut dice), path.file_name()) {
                fs::write(into.join(name), content)?;
            }
        }
        Ok(())
    }

    /// The file of this path, if it is watched.
    fn file(&self, path: &Path) -> Option<FileId> {
        let mut state = self.state();
        if !path.starts_with(&state.directory) || state.directory.as_os_str().is_empty() {
            return None;
        }
        let known = state.files.iter().position(|(file, _)| file == path);
        let place = known.unwrap_or_else(|| {
            let image = Image::of(fs::read(path).ok());
            state.files.push((path.to_owned(), image));
            state.files.len() - 1
        });
        Some(FileId { watch: state.watch, place })
    }

    /// Does something to a file, as far as what would survive a cut is concerned.
    fn apply(&self, file: FileId, operation: Operation<'_>) -> Answer {
        let mut state = self.state();
        if state.watch != file.watch {
            return Answer::Done;
        }
        if state.is_cut {
            return Answer::Failed;
        }
        state.operations += 1;
        let now = state.operations;
        let is_sync = matches!(operation, Operation::Sync { .. });
        let answer = match state.fault {
            Some(Fault::Cut { at }) if at == now => {
                state.is_cut = true;
                Answer::Failed
            }
            Some(Fault::Refuse { from, count, how }) if (from..from + count).contains(&now) => {
                return match how {
                    Refusal::NoSpace if !is_sync => Answer::Full,
                    Refusal::NoSpace | Refusal::Broken => Answer::Failed,
                };
            }
            _ => Answer::Done,
        };
        let Some((_, image)) = state.files.get_mut(file.place) else { return Answer::Failed };
        match operation {
            Operation::Write { at, bytes } => {
                image.change(Change::Write { at, bytes: bytes.to_vec() });
            }
            Operation::Size(size) => image.change(Change::Size(size)),
            Operation::Remove { durable: true } if answer == Answer::Done => image.sync_removal(),
            Operation::Remove { .. } => image.change(Change::Gone),
            Operation::Sync { names } if answer == Answer::Done => {
                image.sync();
                if names {
                    state.files.iter_mut().for_each(|(_, image)| image.sync_name());
                }
            }
            Operation::Sync { .. } => {}
        }
        answer
    }
}
