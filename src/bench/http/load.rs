//! A load generator: the same request again and again over connections that are kept.
//!
//! It knows as much of HTTP/1.1 as the servers here answer with, so that it takes little of the
//! machine that it shares with them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bench::percentile_ms;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A request, as bytes.
#[derive(Clone)]
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn get(path: &str, key: &str) -> Self {
        Self(head("GET", path, key, "").into_bytes())
    }

    pub(super) fn post(path: &str, key: &str, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        let more = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        Self((head("POST", path, key, &more) + &body).into_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn head(method: &str, path: &str, key: &str, more: &str) -> String {
    let key =
        if key.is_empty() { String::new() } else { format!("authorization: Bearer {key}\r\n") };
    format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{key}{more}\r\n")
}

/// What came of some load.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Sends the request over so many connections for so long; every answer must be 200.
pub(super) async fn drive(
    address: SocketAddr,
    request: &Request,
    (connections, lasting): (usize, Duration),
) -> anyhow::Result<Rate> {
    let mut senders = JoinSet::new();
    let began = Instant::now();
    for _ in 0..connections {
        let request = request.clone();
        senders.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while began.elapsed() < lasting {
                let sent = Instant::now();
                connection.ask(&request).await?;
                took.push(sent.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(sent) = senders.join_next().await {
        took.append(&mut sent??);
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    Ok(Rate { per_second, p50_ms: percentile_ms(&took, 50), p99_ms: percentile_ms(&took, 99) })
}

/// Sends one request; gives the body of its answer.
pub(super) async fn once(address: SocketAddr, request: &Request) -> anyhow::Result<Vec<u8>> {
    let mut connection = Connection::open(address).await?;
    let body = connection.ask(request).await?;
    Ok(connection.read[body].to_vec())
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(8_192) })
    }

    /// Sends a request and reads its answer; gives where the body is in what was read.
    async fn ask(&mut self, request: &Request) -> anyhow::Result<std::ops::Range<usize>> {
        self.stream.write_all(&request.0).await?;
        self.read.clear();
        loop {
            let got = self.stream.read_buf(&mut self.read).await?;
            anyhow::ensure!(got > 0, "the server hung up");
            anyhow::ensure!(self.read.len() < ANSWER_BYTES_MAX, "the answer is too long");
            let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let head = str::from_utf8(&self.read[..end])?;
            let said = || String::from_utf8_lossy(&self.read).into_owned();
            anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "{}", said());
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.ok_or_else(|| anyhow::anyhow!("{}", said()))?.parse()?;
            let whole = end + 4 + length;
            if self.read.len() >= whole {
                return Ok(end + 4..whole);
            }
        }
    }
}
