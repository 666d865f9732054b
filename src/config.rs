//! The settings of an installation. Every one stands in `config/genie.toml` with default, unit and
//! meaning; that file is compiled in and is the defaults.

use std::path::PathBuf;

use genie_core::label::{Classification, Clearance, PERSONAL};
use genie_core::limits::Limits;

/// The settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// A directory of rule files in place of the built-in ones.
    pub policies: Option<PathBuf>,
    /// How many records the journal in memory keeps.
    pub journal_records_max: usize,
    /// The region in which this installation processes.
    pub home_region: String,
    /// What whoever asks may be given back.
    pub user_clearance: Clearance,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policies: None,
            journal_records_max: 1_000_000,
            home_region: "in".to_owned(),
            user_clearance: Clearance::up_to(Classification::Confidential).and_category(PERSONAL),
            limits: Limits::default(),
        }
    }
}
