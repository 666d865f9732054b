//! A file on its way out: read piece by piece while it is sent, so that it is never held whole.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use genie_core::ids::Ids;
use http_body::{Frame, SizeHint};
use reqwest::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Most bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;
/// How long to look for a refusal before more than one piece is sent.
const LOOK: Duration = Duration::from_millis(50);
/// What a file is called that nobody has called anything.
const UNKNOWN_TYPE: &str = "application/octet-stream";

type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// A file to send: one on disk, or what a reader gives.
pub struct Upload {
    source: Source,
    bytes: Option<u64>,
    content_type: String,
    name: Option<String>,
}

enum Source {
    File(PathBuf),
    /// `None` once it has been sent, since it gives its bytes once.
    Reader(Option<Reader>),
}

impl Upload {
    /// The file with this path. It is opened when it is sent, and anew when it is sent again.
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()))
    }

    /// What a reader gives up to its end; a stream is one through `tokio_util`'s `StreamReader`.
    /// It gives that once, so that it is not sent again if the server refuses it for now.
    pub fn of_reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::new(Source::Reader(Some(Box::pin(reader))))
    }

    fn new(source: Source) -> Self {
        Self { source, bytes: None, content_type: UNKNOWN_TYPE.to_owned(), name: None }
    }

    /// Says how many bytes a reader gives, so that a server can refuse too many before they come.
    /// Of a file it is found out.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Says what kind of file it is, such as `text/csv`. A server looks at the bytes all the same.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        content_type.clone_into(&mut self.content_type);
        self
    }

    /// Says what it is called: it is then sent as the one file of a form, as a browser does.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Whether there is nothing left that could be sent once more.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self.source, Source::Reader(None))
    }

    /// What goes out, with its `Content-Type`.
    pub(crate) async fn open(
        &mut self,
        ids: &dyn Ids,
    ) -> Result<(HeaderValue, reqwest::Body), io::Error> {
        let (reader, bytes): (Reader, _) = match &mut self.source {
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let bytes = file.metadata().await?.len();
                (Box::pin(file), Some(bytes))
            }
            Source::Reader(reader) => {
                let spent = || io::Error::other("what a reader gives cannot be sent twice");
                (reader.take().ok_or_else(spent)?, self.bytes)
            }
        };
        let kind = header(&self.content_type)?;
        let Some(name) = &self.name else { return Ok((kind, Pieces::body(reader, bytes))) };
        let boundary = format!("genie-{:016x}{:016x}", ids.random(), ids.random());
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
             Content-Type: {}\r\n\r\n",
            escaped(name),
            self.content_type
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let around = (head.len() + tail.len()) as u64;
        let whole = io::Cursor::new(head).chain(exact(reader, bytes)).chain(io::Cursor::new(tail));
        let kind = header(&format!("multipart/form-data; boundary={boundary}"))?;
        let bytes = bytes.and_then(|bytes| bytes.checked_add(around));
        Ok((kind, Pieces::body(Box::pin(whole), bytes)))
    }
}

impl fmt::Debug for Upload {
    /// Without what is sent.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Upload");
        if let Source::File(path) = &self.source {
            shown.field("path", path);
        }
        shown.field("bytes", &self.bytes).field("content_type", &self.content_type);
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

fn header(text: &str) -> Result<HeaderValue, io::Error> {
    HeaderValue::from_str(text).map_err(|_| {
        let problem = "the content type has characters that no header can carry";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })
}

/// The name within quotes, as browsers write it:
/// <https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data>.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// The bytes of a reader, if they are as many as was said.
fn exact(reader: Reader, bytes: Option<u64>) -> Exact {
    Exact { reader, left: bytes }
}

struct Exact {
    reader: Reader,
    left: Option<u64>,
}

impl AsyncRead for Exact {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(this.reader.as_mut().poll_read(cx, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        let Some(left) = &mut this.left else { return Poll::Ready(Ok(())) };
        let problem = match left.checked_sub(read) {
            // Its length went ahead of it, and what is short or too long would be another file.
            None => "there is more of it than was said",
            Some(1..) if read == 0 => "it ends before as much of it has come as was said",
            Some(now) => {
                *left = now;
                return Poll::Ready(Ok(()));
            }
        };
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)))
    }
}

/// The wait for an answer behind the first piece. A server that refuses a file by its length or
/// its first bytes answers and closes, and whoever writes on then learns that nobody reads, and
/// not why.
enum Look {
    Ahead,
    Now(Pin<Box<tokio::time::Sleep>>),
    Done,
}

/// What a reader gives, as the body of a request.
struct Pieces {
    /// Reached through `&mut` only, so never locked: a body must be `Sync`, a reader need not.
    reader: Mutex<Exact>,
    piece: Box<[u8]>,
    look: Look,
}

impl Pieces {
    fn body(reader: Reader, bytes: Option<u64>) -> reqwest::Body {
        let reader = Mutex::new(exact(reader, bytes));
        reqwest::Body::wrap(Self { reader, piece: vec![0; PIECE_BYTES].into(), look: Look::Ahead })
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Unread;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        let Self { reader, piece, look } = self.get_mut();
        if let Look::Now(looking) = look {
            ready!(looking.as_mut().poll(cx));
            *look = Look::Done;
        }
        let reader = reader.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut buffer = ReadBuf::new(piece);
        let read = ready!(Pin::new(reader).poll_read(cx, &mut buffer));
        if matches!(look, Look::Ahead) {
            *look = Look::Now(Box::pin(tokio::time::sleep(LOOK)));
        }
        Poll::Ready(match read {
            Err(error) => Some(Err(Unread(error))),
            Ok(()) if buffer.filled().is_empty() => None,
            Ok(()) => Some(Ok(Frame::data(Bytes::copy_from_slice(buffer.filled())))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        let reader = self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reader.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// That a file could not be read while it was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unread(#[source] io::Error);

/// Whether it is what was to be sent that failed, and not the server or the way there.
pub(crate) fn unread(error: &reqwest::Error) -> Option<io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(Unread(error)) = error.downcast_ref() {
            return Some(io::Error::new(error.kind(), error.to_string()));
        }
        cause = error.source();
    }
    None
}
