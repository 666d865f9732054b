//! Checks the content that is kept beside the records.

use genie_core::journal::chain::Hash;
use genie_store::{BlobKey, Checkpoints, RawContent};

use super::blame::{Deed, Fault};
use super::inspect::Error;

/// Keys of content that are read at once.
const PAGE: u64 = 4_096;

/// Checks all content and all documents against their hashes; gives how many there are.
pub(super) async fn check(store: &Checkpoints) -> Result<u64, Error> {
    Ok(blobs(store).await? + documents(store).await?)
}

async fn documents(store: &Checkpoints) -> Result<u64, Error> {
    let (mut after, mut count) = (Vec::new(), 0);
    loop {
        let page = store.document_ids(&after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after.clone_from(last);
        for id in page {
            // Gone meanwhile is deleted or erased, not tampered with.
            let Some(document) = store.document(&id).await? else { continue };
            let same = match document.content {
                RawContent::Bytes(content) => Hash::of(&content).0[..] == document.sha256,
                RawContent::Erased => continue,
                RawContent::Broken(_) => false,
            };
            count += 1;
            if !same {
                let id = uuid::Uuid::from_slice(&id).unwrap_or_default();
                let problem = format!(
                    "the document `{id}` of `{}` in `{}` is another: it was swapped or changed",
                    document.subject, document.tenant
                );
                return Err(swapped(problem));
            }
        }
    }
}

fn swapped(problem: String) -> Error {
    let (chain, record, run) = (None, None, None);
    Fault { deed: Deed::Swapped, chain, record, run, problem }.into()
}

async fn blobs(store: &Checkpoints) -> Result<u64, Error> {
    let mut after: Option<BlobKey> = None;
    let mut count = 0;
    loop {
        let page = store.blob_keys(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.clone());
        for key in page {
            // Gone meanwhile is erased, not tampered with.
            let Some(content) = store.blob(&key).await? else { continue };
            let same = match content {
                RawContent::Bytes(content) => Hash::of(&content).0[..] == key.sha256,
                RawContent::Erased => continue,
                RawContent::Broken(_) => false,
            };
            count += 1;
            if !same {
                let kept = <[u8; 32]>::try_from(&key.sha256[..]);
                let kept =
                    kept.map_or_else(|_| "no hash".to_owned(), |kept| Hash(kept).to_string());
                let problem = format!(
                    "the content kept as `{kept}` of `{}` in `{}` is another: it was swapped or \
                     changed",
                    key.subject, key.tenant
                );
                return Err(swapped(problem));
            }
        }
    }
}
