//! One connection: its bounds, what is said to what never became a request, and its end.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::edge::Edge;
use crate::error::Problem;
use crate::events::HEARTBEAT;
use crate::request;
use crate::sessions::Peer;
use crate::socket::{Client, Socket, Stage};

/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a client that has its last answer may be silent before it is hung up on.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Most bytes that are still taken from it.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// Serves a connection to its end.
pub(crate) async fn serve(
    edge: &Edge,
    router: Router,
    (stream, peer): (TcpStream, Peer),
    watcher: Watcher,
) {
    let limits = edge.options.limits;
    // Small frames of a stream are not held back to fill a packet.
    let _ = stream.set_nodelay(true);
    let (socket, client) = Socket::new(stream, limits.stall);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max)
        .max_headers(HEADERS_MAX);
    let (service, asking) = (TowerToHyperService::new(router), client.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let client = asking.clone();
        client.enter(Stage::Asked);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(client.clone());
        let answer = service.call(request);
        async move { Ok::<_, Infallible>(Answer::to(client, answer.await?)) }
    });
    let served = watcher.watch(builder.serve_connection(TokioIo::new(socket), service));
    let served = tokio::select! {
        served = served => served,
        () = client.broke() => return,
    };
    let refusal = match served {
        Ok(()) => String::new(),
        Err(error) => match refusal(&error, &client, limits.header_bytes_max) {
            Some(problem) => request::refused(edge, &problem),
            None => return tracing::debug!(%error, "a connection broke"),
        },
    };
    if let Some(stream) = client.alone() {
        // Whoever does not take it, or does not hang up, is not waited for.
        let _ = timeout(limits.body_timeout, end(stream, refusal.as_bytes())).await;
    }
}

/// What is said to a client whose request never came to a handler; nothing to one that has sent
/// nothing of it, or is in the middle of an answer.
fn refusal(error: &hyper::Error, client: &Client, header_bytes_max: usize) -> Option<Problem> {
    let was_heard = client.is_in(Stage::Heard);
    if !was_heard && !client.is_in(Stage::Idle) {
        return None;
    }
    if error.is_parse_too_large() {
        return Some(Problem::headers_too_large(header_bytes_max, HEADERS_MAX));
    }
    if error.is_parse() {
        return Some(Problem::malformed("this is no request of HTTP/1.1"));
    }
    if error.is_timeout() {
        return was_heard.then(|| Problem::too_slow("headers"));
    }
    let is_cut = was_heard && error.is_incomplete_message();
    is_cut.then(|| Problem::cut_short("headers"))
}

/// Says this last, and hangs up once the client has heard it: to close while it still sends would
/// have its system throw away what it has not read.
async fn end(mut stream: TcpStream, last: &[u8]) -> io::Result<()> {
    stream.write_all(last).await?;
    stream.shutdown().await?;
    let (mut room, mut left) = (vec![0; 16_384], DISCARDED_BYTES_MAX);
    while let Ok(came) = timeout(SILENCE_MAX, stream.read(&mut room)).await {
        match left.checked_sub(came?) {
            Some(rest) if rest < left => left = rest,
            _ => break,
        }
    }
    Ok(())
}

/// The body of an answer, which knows when hyper has all of it.
struct Answer {
    body: Body,
    client: Client,
    /// Ready once the client of a stream has ended its side: it is then sent something, to find
    /// out whether it has left.
    ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Answer {
    fn to(client: Client, response: Response<Body>) -> Response<Self> {
        let kind = response.headers().get(CONTENT_TYPE);
        let ended = kind.is_some_and(|kind| kind == "text/event-stream").then(|| {
            let client = client.clone();
            let ended: Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(async move { client.ended().await });
            ended
        });
        response.map(|body| Self { body, client, ended })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(cx);
        if next.is_pending()
            && let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            self.ended = None;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HEARTBEAT.as_bytes())))));
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.client.enter(Stage::Answered);
    }
}
