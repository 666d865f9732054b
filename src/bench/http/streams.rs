//! Streams of events: many that wait, and how soon the first event of a run is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use genie_agents::finance::domain::generate::SAMPLE_TEN_ROWS;
use genie_core::clock::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::child::Child;
use super::load::{Request, drive};
use super::{CONNECTIONS, QUESTION};
use crate::bench::{Figure, host, percentile_ms};
use crate::host::SystemClock;

/// Streams at once.
const STREAMS: usize = 10_000;
/// How many runs are followed from their beginning.
const FOLLOWED: usize = 200;
/// Longest wait for what a stream says.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn measure(genie: &Child, key: &str) -> anyhow::Result<Vec<Figure>> {
    let mut late = Vec::new();
    for _ in 0..FOLLOWED {
        late.push(first_event(genie.address(), key).await?);
    }
    late.sort_unstable();
    let run = waiting(genie.address(), key).await?;
    let before = genie.resident_bytes()?;
    let (began, path) = (Instant::now(), format!("/v1/runs/{run}/events"));
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        streams.push(open(genie.address(), &path, key).await?);
    }
    let opened = began.elapsed().as_secs_f64();
    let resident = genie.resident_bytes()?;
    // The server still answers, whatever waits.
    let health = Request::get("/health", "");
    let rate = drive(genie.address(), &health, (CONNECTIONS, Duration::from_secs(1))).await?;
    drop(streams);
    Ok(vec![
        Figure::new("first event behind its record, p50", percentile_ms(&late, 50), "ms")
            .at_most(5.0),
        Figure::new("first event behind its record, p99", percentile_ms(&late, 99), "ms"),
        Figure::new("10,000 streams, resident", resident / host::MIB, "MiB")
            .at_most(400.0 * 1e6 / host::MIB),
        Figure::new("each of 10,000 streams", (resident - before) / STREAMS as f64 / 1024.0, "KiB"),
        Figure::new("10,000 streams, opened one after the other in", opened, "s"),
        Figure::new("GET /health beside 10,000 streams", rate.per_second, "/s"),
    ])
}

/// A run that waits for a human, as long as this takes.
async fn waiting(address: SocketAddr, key: &str) -> anyhow::Result<String> {
    let order = json!({ "payee": "Asha Traders", "amount_minor": 2_500_000, "reason": "r" });
    let function = json!({ "name": "payment.transfer", "arguments": order });
    let call = json!({ "id": "call_1", "type": "function", "function": function });
    let request = Request::post("/v1/tools/execute", key, &call);
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_mut().write_all(request.bytes()).await?;
    let length = head(&mut stream, 202).await?.context("the answer has no length")?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body: Value = serde_json::from_slice(&body)?;
    Ok(body["run_id"].as_str().context("the answer names no run")?.to_owned())
}

/// Reads the head of an answer; gives the length of its body, if it says one.
async fn head(stream: &mut BufReader<TcpStream>, status: u16) -> anyhow::Result<Option<usize>> {
    let (mut line, mut length) = (String::new(), None);
    stream.read_line(&mut line).await?;
    anyhow::ensure!(line.starts_with(&format!("HTTP/1.1 {status} ")), "the server said: {line}");
    while line != "\r\n" {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the server hung up");
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = Some(text.trim().parse()?);
        }
    }
    Ok(length)
}

/// Opens a stream and reads its first event.
async fn open(address: SocketAddr, path: &str, key: &str) -> anyhow::Result<TcpStream> {
    let mut stream = BufReader::with_capacity(1_024, TcpStream::connect(address).await?);
    stream.get_mut().write_all(Request::get(path, key).bytes()).await?;
    tokio::time::timeout(PATIENCE, async {
        head(&mut stream, 200).await?;
        data(&mut stream).await
    })
    .await??;
    Ok(stream.into_inner())
}

/// The data of the next event.
async fn data(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Value> {
    let mut line = String::new();
    loop {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the server hung up");
        if let Some(text) = line.strip_prefix("data: ") {
            return Ok(serde_json::from_str(text)?);
        }
    }
}

/// How long after its record a client has the first event of a run that it asks for.
async fn first_event(address: SocketAddr, key: &str) -> anyhow::Result<Duration> {
    let question = json!({ "question": QUESTION, "statement": SAMPLE_TEN_ROWS });
    let request = Request::post("/v1/ask/stream", key, &question);
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_mut().set_nodelay(true)?;
    stream.get_mut().write_all(request.bytes()).await?;
    head(&mut stream, 200).await?;
    let event = data(&mut stream).await?;
    let now = SystemClock.now();
    let recorded: Timestamp = serde_json::from_value(event["at"].clone())?;
    // The run is left to end by itself, so that it is not in the way of the next.
    while data(&mut stream).await?["type"] != "outcome" {}
    Ok(Duration::from_micros(now.micros_since(recorded)))
}
