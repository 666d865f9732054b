//! A file on its way in: taken piece by piece, so that what is too large, too much at once or no
//! statement is refused as soon as that shows, and the rest of it is never read.
//!
//! It comes as the body, or as the one file of a `multipart/form-data` form, as a browser or
//! `curl --form` sends it (RFC 7578).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use futures::{Stream, StreamExt};
use multer::{Constraints, Multipart, SizeLimit};

use crate::body::is_encoded;
use crate::edge::Edge;
use crate::error::Problem;

/// Bytes that say what a file is.
const HEAD_BYTES: usize = 1_024;
/// Bytes of a form besides its file.
const FORM_BYTES_MAX: usize = 16_384;

/// How much of uploads is held in memory, over all clients.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    held: Arc<AtomicUsize>,
}

impl Uploads {
    pub(crate) fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn share(&self) -> Share {
        Share { held: self.held.clone(), bytes: 0 }
    }
}

/// What one upload holds of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    /// Takes so much more, unless all then hold more than this.
    fn grow(&mut self, bytes: usize, bytes_max: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= bytes_max);
        let grown = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The file of a request, with its share of what uploads may hold.
///
/// # Errors
/// One that is too large, or too much with all the others; that takes too long or does not come
/// whole; that is no statement by its first bytes; a form that is not of one file.
pub(crate) async fn receive(edge: &Edge, request: Request) -> Result<(Vec<u8>, Share), Problem> {
    let limits = edge.options.limits;
    let bytes_max = limits.body_bytes_max.min(edge.options.statement_bytes_max);
    let bytes_max = bytes_max.min(limits.uploads_bytes_max);
    let receiving = received(edge, request, bytes_max);
    let received = tokio::time::timeout(limits.body_timeout, receiving).await;
    received.map_err(|_| Problem::too_slow("body"))?
}

async fn received(
    edge: &Edge,
    request: Request,
    bytes_max: usize,
) -> Result<(Vec<u8>, Share), Problem> {
    if is_encoded(request.headers()) {
        return Err(Problem::no_statement("send the file as it is, not compressed"));
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let form = kind.filter(|kind| is_form(kind)).map(multer::parse_boundary).transpose();
    let form = form.map_err(|error| Problem::malformed(format!("the form is broken: {error}")))?;
    let body = request.into_body();
    let most = bytes_max + if form.is_some() { FORM_BYTES_MAX } else { 0 };
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::too_large(bytes_max));
    }
    let share = edge.uploads.share();
    let mut file = File { edge, content: Vec::new(), share, bytes_max, is_known: false };
    match form {
        Some(boundary) => of_form(&mut file, body, boundary).await?,
        None => of_body(&mut file, body).await?,
    }
    file.ended()
}

fn is_form(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

async fn of_body(file: &mut File<'_>, body: Body) -> Result<(), Problem> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        file.take(&piece.map_err(|_| Problem::cut_short("body"))?)?;
    }
    Ok(())
}

async fn of_form(file: &mut File<'_>, body: Body, boundary: String) -> Result<(), Problem> {
    let bytes_max = file.bytes_max;
    let broken = |error: multer::Error| match error {
        multer::Error::StreamSizeExceeded { .. } => Problem::too_large(bytes_max),
        multer::Error::StreamReadFailed(_) => Problem::cut_short("body"),
        error => Problem::malformed(format!("the form is broken: {error}")),
    };
    let whole = SizeLimit::new().whole_stream((bytes_max + FORM_BYTES_MAX) as u64);
    let pieces = Pieces { body: body.into_data_stream(), is_due: false };
    let constraints = Constraints::new().size_limit(whole);
    let mut form = Multipart::with_constraints(pieces, boundary, constraints);
    let one = || Problem::invalid("", "send one field, a file with its name, and no other");
    let mut field = form.next_field().await.map_err(broken)?.ok_or_else(one)?;
    if field.file_name().is_none() {
        return Err(one());
    }
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        file.take(&piece)?;
    }
    drop(field);
    if form.next_field().await.map_err(broken)?.is_some() {
        return Err(one());
    }
    Ok(())
}

/// What has come of a file.
struct File<'a> {
    edge: &'a Edge,
    content: Vec<u8>,
    share: Share,
    bytes_max: usize,
    /// Whether it was looked at.
    is_known: bool,
}

impl File<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<(), Problem> {
        if self.content.len() + piece.len() > self.bytes_max {
            return Err(Problem::too_large(self.bytes_max));
        }
        if !self.share.grow(piece.len(), self.edge.options.limits.uploads_bytes_max) {
            return Err(Problem::uploading());
        }
        self.content.extend_from_slice(piece);
        if self.content.len() < HEAD_BYTES { Ok(()) } else { self.look() }
    }

    fn look(&mut self) -> Result<(), Problem> {
        if !self.is_known {
            let head = self.content.get(..HEAD_BYTES).unwrap_or(&self.content);
            (self.edge.options.look)(head).map_err(Problem::no_statement)?;
            self.is_known = true;
        }
        Ok(())
    }

    fn ended(mut self) -> Result<(Vec<u8>, Share), Problem> {
        self.look()?;
        Ok((self.content, self.share))
    }
}

/// The pieces of a body, one at a time: the reader of forms takes all that it can get before it
/// looks at any.
struct Pieces {
    body: BodyDataStream,
    /// Whether what was given last is to be looked at first.
    is_due: bool,
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.is_due) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.body.poll_next_unpin(cx);
        self.is_due = polled.is_ready();
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_uploads_together_hold_no_more_than_they_may() {
        let uploads = Uploads::default();
        let (mut first, mut second) = (uploads.share(), uploads.share());
        assert!(first.grow(60, 100) && second.grow(40, 100));
        assert!(!first.grow(1, 100) && !second.grow(usize::MAX, 100));
        assert_eq!(uploads.bytes(), 100);
        drop(second);
        assert!(first.grow(40, 100) && !first.grow(1, 100));
        drop(first);
        assert_eq!(uploads.bytes(), 0);
    }
}
