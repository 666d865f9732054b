//! Lists in pages.

use serde::Deserialize;

/// Some of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// What to give as `after` for the next page; `None` if this is the last.
    pub next: Option<String>,
}
