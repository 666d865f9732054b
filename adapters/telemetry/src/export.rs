//! Spans in batches to a collector, which may be slow, away, or gone for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genie_core::tap::{Event, Tap};
use genie_core::tasks::Tasks;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::spans::Spans;
use crate::wire::{self, Span};

/// Spans of a batch.
const BATCH_MAX: usize = 512;
/// How long a span waits for others at most.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// Batches that wait for the collector; the next is dropped.
const BATCHES_MAX: usize = 16;
/// Attempts at a batch. The specification asks for retries with back-off and leaves open how many.
const ATTEMPTS_MAX: u32 = 4;
/// Wait before the second attempt; doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// Longest wait that a collector may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// How long the collector may take to answer; the specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for what is left.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Where spans go.
pub struct Options {
    /// The collector's base URL, such as `http://127.0.0.1:4318`; `/v1/traces` is added.
    pub endpoint: String,
    /// The name under which this installation appears.
    pub service: String,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL of a collector.
    #[error("`{endpoint}` is no collector: {reason}; write it as `http://127.0.0.1:4318`")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("spans cannot be sent")]
    Client(#[from] reqwest::Error),
}

/// Spans on their way.
pub struct Handle {
    tasks: Tasks,
    stop: CancellationToken,
    closed: oneshot::Receiver<()>,
    dropped: Arc<AtomicU64>,
}

/// Sends the spans of everything that the tap gives.
///
/// # Errors
/// [`Error`] if there is nowhere to send them.
pub fn start(options: &Options, tap: Tap) -> Result<Handle, Error> {
    let unusable = |reason: String| Error::Endpoint { endpoint: options.endpoint.clone(), reason };
    let base = reqwest::Url::parse(&options.endpoint);
    let base = base.map_err(|error| unusable(error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        return Err(unusable("it has no `http` or `https` host".to_owned()));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(unusable("a secret does not belong into a URL".to_owned()));
    }
    let url = format!("{}/v1/traces", base.as_str().trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
    let (tasks, stop) = (Tasks::default(), CancellationToken::new());
    let (closing, closed) = oneshot::channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let collector = Collector {
        tap,
        spans: Spans::default(),
        batch: Vec::new(),
        sender,
        dropped: dropped.clone(),
    };
    let exporter =
        Exporter { client, url, service: options.service.clone(), dropped: dropped.clone() };
    tasks.spawn(collector.collect(stop.clone()));
    tasks.spawn(async move {
        exporter.export(receiver).await;
        // Whoever waits for this may have gone.
        let _ = closing.send(());
    });
    Ok(Handle { tasks, stop, closed, dropped })
}

impl Handle {
    /// How many spans were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what is left, for a bounded time, and stops.
    pub async fn close(self) {
        self.stop.cancel();
        // An error means that there is nothing to wait for.
        let _ = tokio::time::timeout(CLOSE_WAIT, self.closed).await;
        self.tasks.shut_down().await;
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "spans did not reach the collector");
        }
    }
}

/// Makes spans and puts them into batches.
struct Collector {
    tap: Tap,
    spans: Spans,
    batch: Vec<Span>,
    sender: mpsc::Sender<Vec<Span>>,
    dropped: Arc<AtomicU64>,
}

impl Collector {
    async fn collect(mut self, stop: CancellationToken) {
        let mut due = Instant::now() + BATCH_WAIT;
        loop {
            let event = tokio::select! {
                biased;
                event = self.tap.next() => event,
                () = tokio::time::sleep_until(due) => {
                    self.hand_over();
                    due = Instant::now() + BATCH_WAIT;
                    continue;
                }
                () = stop.cancelled() => break,
            };
            match event {
                Ok(Some(Event::Recorded(record))) => {
                    self.batch.extend(self.spans.record(&record));
                    if self.batch.len() >= BATCH_MAX {
                        self.hand_over();
                    }
                }
                Ok(Some(Event::Ephemeral(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "some spans were missed");
                    self.tap.skip();
                }
            }
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let spans = batch.len() as u64;
        if spans > 0 && self.sender.try_send(batch).is_err() {
            self.dropped.fetch_add(spans, Ordering::Relaxed);
        }
    }
}

/// Sends batches.
struct Exporter {
    client: reqwest::Client,
    url: String,
    service: String,
    dropped: Arc<AtomicU64>,
}

/// What became of one attempt.
enum Attempt {
    Taken,
    /// It may be taken later, after this long if the collector says so.
    Later(Option<Duration>),
    Refused(String),
}

impl Exporter {
    async fn export(self, mut batches: mpsc::Receiver<Vec<Span>>) {
        while let Some(batch) = batches.recv().await {
            if let Err(reason) = self.send(&batch).await {
                self.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                tracing::warn!(spans = batch.len(), reason, "spans were dropped");
            }
        }
    }

    async fn send(&self, batch: &[Span]) -> Result<(), String> {
        let body = wire::request(&self.service, batch).to_string();
        let mut wait = BACKOFF;
        for attempt in 1..=ATTEMPTS_MAX {
            let asked = match self.attempt(body.clone()).await {
                Attempt::Taken => return Ok(()),
                Attempt::Refused(reason) => return Err(reason),
                Attempt::Later(asked) => asked,
            };
            if attempt < ATTEMPTS_MAX {
                tokio::time::sleep(asked.unwrap_or(wait)).await;
                wait *= 2;
            }
        }
        Err("the collector is away".to_owned())
    }

    async fn attempt(&self, body: String) -> Attempt {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
        let Ok(response) = request.body(body).send().await else { return Attempt::Later(None) };
        match response.status() {
            status if status.is_success() => Attempt::Taken,
            // Those that the specification calls retryable.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let asked = response.headers().get(RETRY_AFTER);
                let seconds = asked.and_then(|asked| asked.to_str().ok()?.parse().ok());
                let asked =
                    seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
                Attempt::Later(asked)
            }
            status => Attempt::Refused(format!("the collector says {}", status.as_u16())),
        }
    }
}
