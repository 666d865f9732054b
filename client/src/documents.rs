//! Documents: files that are sent once, and asked about as often as one likes.

use genie_core::clock::Timestamp;
use genie_core::document::DocumentId;
use genie_core::journal::chain::Hash;
use serde::Deserialize;

use crate::client::{Client, Request};
use crate::error::Error;
use crate::upload::Upload;

/// A document, as the server has read it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Document {
    /// Its id, for [`crate::Question::of_document`].
    pub id: DocumentId,
    /// Whose it is.
    pub subject: String,
    /// The hash of what is kept of it: of a CSV file, of the file.
    pub sha256: Hash,
    /// How many bytes are kept of it.
    pub bytes: u64,
    /// When it came.
    pub created_at: Timestamp,
    /// What it says of itself.
    pub statement: Contents,
}

/// What a statement says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contents {
    /// Which bank's columns it has, or which kind of them.
    pub layout: String,
    /// The currency of its amounts.
    pub currency: String,
    /// How many rows are of use.
    pub rows: u64,
    /// How many are not.
    pub rejected: u64,
    /// Those that are not, or the first of them.
    pub rejects: Vec<Reject>,
}

/// A row that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reject {
    /// Its line in the file.
    pub line: u64,
    /// The column that makes no sense.
    pub column: String,
    /// What stands there.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl Client {
    /// Sends a statement, a CSV file or an Excel workbook, to ask about it later. A file is sent
    /// again if the server refused it for now or its answer was lost, and kept once.
    ///
    /// # Errors
    /// [`Error::Upload`] if it cannot be read; [`Error::Problem`] with the code of what is wrong
    /// with it, such as `unsupported_media_type`.
    pub async fn send_document(&self, upload: Upload) -> Result<Document, Error> {
        self.json(Request::send(&["v1", "documents"], upload).keyed(&*self.ids)).await
    }
}
