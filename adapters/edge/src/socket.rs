//! The socket of a connection as hyper reads and writes it, and as a handler may look at it.
//!
//! hyper answers a client that has ended its side as it answers any other, and so does not look
//! whether a client is still there while it works for it; [`Client`] does. Requests and answers
//! themselves are none of this file's business, but for whose bytes are written.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Extension;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How far the exchange on a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nothing of the next request has come.
    Idle,
    /// Something of it has.
    Heard,
    /// It is being answered.
    Asked,
    /// All of the answer is hyper's to send.
    Answered,
}

/// What hyper, handlers and whoever serves the connection share.
struct Line {
    stream: TcpStream,
    stage: AtomicU8,
}

impl Line {
    fn is_in(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }
}

/// The client at the other end.
#[derive(Clone)]
pub(crate) struct Client(Arc<Line>);

/// The client, as a handler asks for it; there is none without a connection.
pub(crate) type Other = Option<Extension<Client>>;

/// Returns once the client has ended its side; never without one.
pub(crate) async fn ended(client: Other) {
    match client {
        Some(Extension(client)) => client.ended().await,
        None => std::future::pending().await,
    }
}

impl Client {
    /// Returns once the client has ended its side, or is gone altogether; which of the two it is
    /// shows only when something is sent. One that has sent more already counts as there.
    pub(crate) async fn ended(&self) {
        if let Ok(1..) = self.0.stream.peek(&mut [0]).await {
            std::future::pending::<()>().await;
        }
    }

    /// Returns once the connection is broken.
    pub(crate) async fn broke(&self) {
        let _ = self.0.stream.ready(Interest::ERROR).await;
    }

    pub(crate) fn is_in(&self, stage: Stage) -> bool {
        self.0.is_in(stage)
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.0.enter(stage);
    }

    /// The connection itself, once neither hyper nor a handler has a part in it.
    pub(crate) fn alone(self) -> Option<TcpStream> {
        Arc::into_inner(self.0).map(|line| line.stream)
    }
}

/// What hyper reads and writes.
pub(crate) struct Socket {
    line: Arc<Line>,
    /// How long the client may leave what it is sent untaken.
    patience: Duration,
    /// Runs while it does.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> (Self, Client) {
        let stage = AtomicU8::new(Stage::Idle as u8);
        let line = Arc::new(Line { stream, stage });
        (Self { line: line.clone(), patience, stalled: None }, Client(line))
    }

    /// Whether what hyper writes is no answer of a handler, but what it says by itself to what it
    /// cannot read. That has no body and no id; whoever serves the connection says more.
    fn is_unasked(&self) -> bool {
        self.line.is_in(Stage::Idle) || self.line.is_in(Stage::Heard)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.line.stream.poll_write_ready(cx)?.is_pending() {
                let (stalled, patience) = (&mut self.stalled, self.patience);
                let stalled = stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(stalled.as_mut().poll(cx));
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            match send(&self.line.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => {
                    self.stalled = None;
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (stream, room) = (&self.line.stream, buf.remaining());
        let mut came = None;
        while came.is_none() {
            ready!(stream.poll_read_ready(cx))?;
            let read = stream.try_io(Interest::READABLE, || {
                let bytes = *came.insert(stream.try_read_buf(buf)?);
                // Room that is left says that there is nothing more for now, as it does to a
                // `TcpStream` that reads itself; so the next read need not ask the system.
                let is_all = cfg!(unix) && (1..room).contains(&bytes);
                if is_all { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match read {
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => {}
            }
        }
        if came != Some(0) && self.line.is_in(Stage::Idle) {
            self.line.enter(Stage::Heard);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_unasked() {
            return Poll::Ready(Ok(buf.len()));
        }
        self.poll_send(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_unasked() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        self.poll_send(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once it has written all that it has.
        if self.line.is_in(Stage::Answered) {
            self.line.enter(Stage::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Whoever serves the connection ends it, once all is said.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
