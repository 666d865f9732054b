//! The port for documents: files that somebody has sent and asks about later.
//!
//! A document belongs to one subject of one tenant. Its content is never in a run; whoever asks
//! about it sends it along with the question, as if it had come with it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::async_trait;
use crate::blob::Blob;
use crate::clock::Timestamp;
use crate::tenant::Tenant;

/// The id of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentId(pub Uuid);

impl std::fmt::Display for DocumentId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What is known of a document without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Its id; later ones have larger ids.
    pub id: DocumentId,
    /// The tenant: nobody else ever gets at it.
    #[serde(skip)]
    pub tenant: Tenant,
    /// Whose it is; it is sealed for them, and goes when their data is erased.
    pub subject: Arc<str>,
    /// The hash and size of its content.
    #[serde(flatten)]
    pub blob: Blob,
    /// When it came.
    pub created_at: Timestamp,
}

/// Which documents to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only those of this subject.
    pub subject: Option<String>,
    /// Only those before this one.
    pub before: Option<DocumentId>,
    /// At most so many.
    pub limit: usize,
}

/// Why documents could not be kept or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the document store failed: {0}")]
pub struct Error(pub String);

/// Where documents are kept.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Keeps a document with its content, unless its subject has `count_max` already; `false` then.
    async fn put(
        &self,
        document: &Document,
        content: &[u8],
        count_max: usize,
    ) -> Result<bool, Error>;

    /// The tenant's documents, newest first.
    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Document>, Error>;

    /// The document with its content, if it is of this tenant, and of this subject if one is named.
    async fn get(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<Option<(Document, Vec<u8>)>, Error>;

    /// Lets go of the document; `false` if there is none that [`Self::get`] would find.
    async fn delete(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<bool, Error>;
}

/// Documents in memory.
#[derive(Debug, Default)]
pub struct MemoryDocuments {
    kept: Mutex<Vec<(Document, Vec<u8>)>>,
}

fn is_of(document: &Document, tenant: &Tenant, subject: Option<&str>) -> bool {
    document.tenant == *tenant && subject.is_none_or(|subject| *document.subject == *subject)
}

impl MemoryDocuments {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<(Document, Vec<u8>)>) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn put(
        &self,
        document: &Document,
        content: &[u8],
        count_max: usize,
    ) -> Result<bool, Error> {
        Ok(self.with(|kept| {
            let of_subject = kept
                .iter()
                .filter(|(one, _)| is_of(one, &document.tenant, Some(&document.subject)));
            let has_room = of_subject.count() < count_max;
            if has_room {
                kept.push((document.clone(), content.to_vec()));
            }
            has_room
        }))
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Document>, Error> {
        Ok(self.with(|kept| {
            let ours = kept.iter().filter(|(one, _)| {
                is_of(one, tenant, query.subject.as_deref())
                    && query.before.is_none_or(|before| one.id < before)
            });
            let mut found: Vec<Document> = ours.map(|(one, _)| one.clone()).collect();
            found.sort_by_key(|one| std::cmp::Reverse(one.id));
            found.truncate(query.limit);
            found
        }))
    }

    async fn get(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<Option<(Document, Vec<u8>)>, Error> {
        Ok(self.with(|kept| {
            kept.iter().find(|(one, _)| one.id == id && is_of(one, tenant, subject)).cloned()
        }))
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<bool, Error> {
        Ok(self.with(|kept| {
            let before = kept.len();
            kept.retain(|(one, _)| one.id != id || !is_of(one, tenant, subject));
            kept.len() < before
        }))
    }
}
