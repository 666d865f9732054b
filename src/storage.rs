//! Where an installation keeps its runs, as a setting.

use std::fmt;
use std::path::PathBuf;

use genie_store::Location;

/// Where runs are kept.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Storage {
    /// Nobody has said: in memory for a library, in [`directory`] for the command line.
    #[default]
    Unset,
    /// In memory: nothing outlives the process.
    Memory,
    /// In a SQLite file in this directory.
    Directory(PathBuf),
    /// In PostgreSQL at this URL.
    Database(String),
}

impl fmt::Debug for Storage {
    /// Without the password that a URL may hold.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location() {
            Some(location) => write!(formatter, "{location}"),
            None => formatter.write_str("memory"),
        }
    }
}

impl Storage {
    /// Reads a setting: nothing, `memory`, a URL or a directory.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "" => Self::Unset,
            "memory" => Self::Memory,
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Self::Database(url.to_owned())
            }
            directory => Self::Directory(directory.into()),
        }
    }

    /// The setting that says so, without the password that a URL may hold.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Memory => "memory".to_owned(),
            Self::Directory(path) => path.display().to_string(),
            Self::Database(_) => format!("{self:?}"),
        }
    }

    /// The database; `None` is the memory.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        match self {
            Self::Unset | Self::Memory => None,
            Self::Directory(path) => Some(Location::Sqlite(path.clone())),
            Self::Database(url) => Some(Location::Postgres(url.clone())),
        }
    }

    /// The file of the demo's bank: beside the runs if they are in a directory, in that of the
    /// user's data otherwise.
    #[must_use]
    pub fn payments(&self) -> PathBuf {
        let place = match self {
            Self::Directory(path) => Some(path.clone()),
            Self::Unset | Self::Memory | Self::Database(_) => directory(),
        };
        place.unwrap_or_else(std::env::temp_dir).join("payments.jsonl")
    }
}

/// Where the environment says that the command line keeps runs: `GENIE_DATABASE`, a URL, or
/// `GENIE_DATA`, a directory; with the variable that says so.
#[must_use]
pub fn of_environment() -> Option<(&'static str, Storage)> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let url = set("GENIE_DATABASE").and_then(|url| url.into_string().ok());
    url.map(|url| ("GENIE_DATABASE", Storage::Database(url)))
        .or_else(|| Some(("GENIE_DATA", Storage::Directory(set("GENIE_DATA")?.into()))))
}

/// The directory in which the command line keeps runs unless it is told otherwise: `genie` in the
/// user's data directory (XDG Base Directory Specification 0.8). `None` without a home.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = set("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    Some(data.or_else(home)?.join("genie"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_memory_a_url_or_a_directory() {
        assert_eq!(Storage::parse(""), Storage::Unset);
        assert_eq!(Storage::parse("memory"), Storage::Memory);
        assert_eq!(Storage::parse("./x"), Storage::Directory("./x".into()));
        let url = "postgres://genie:secret@db/genie";
        assert_eq!(Storage::parse(url), Storage::Database(url.into()));
        assert_eq!(format!("{:?}", Storage::parse(url)), "postgres://db/genie");
    }
}
