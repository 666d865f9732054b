//! Spans in batches to a collector, which may be slow, away, or gone for good; and figures beside
//! them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genie_core::clock::Clock;
use genie_core::tap::{Event, Tap};
use genie_core::tasks::Tasks;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Pusher, Source};
use crate::sink::{Attempt, Sink};
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
/// How long the end of the process waits for what is left.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Where spans and figures go.
#[derive(Clone)]
pub struct Options {
    /// The collector's base URL, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics`
    /// are added.
    pub endpoint: String,
    /// The name under which this installation appears.
    pub service: String,
    /// How often figures go there; `None` is never.
    pub metrics_every: Option<Duration>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
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
    #[error("neither spans nor figures can be sent")]
    Client(#[from] reqwest::Error),
}

/// Spans and figures on their way.
pub struct Handle {
    tasks: Tasks,
    stop: CancellationToken,
    /// One for spans, and one for each source of figures.
    closed: Vec<oneshot::Receiver<()>>,
    dropped: Arc<AtomicU64>,
    sink: Sink,
    options: Options,
}

/// Sends the spans of everything that the tap gives.
///
/// # Errors
/// [`Error`] if there is nowhere to send them.
pub fn start(options: &Options, tap: Tap) -> Result<Handle, Error> {
    let sink = Sink::at(&options.endpoint)?;
    let (tasks, stop) = (Tasks::default(), CancellationToken::new());
    let dropped = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let collector = Collector {
        tap,
        spans: Spans::default(),
        batch: Vec::new(),
        sender,
        dropped: dropped.clone(),
    };
    let service = options.service.clone();
    let exporter = Exporter { sink: sink.clone(), service, dropped: dropped.clone() };
    tasks.spawn(collector.collect(stop.clone()));
    let options = options.clone();
    let mut handle = Handle { tasks, stop, closed: Vec::new(), dropped, sink, options };
    handle.spawn(exporter.export(receiver));
    Ok(handle)
}

impl Handle {
    /// How many spans were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends these figures, too, from now on and a last time at the end, if any are to be sent.
    pub fn push(&mut self, source: Source) {
        let Some(every) = self.options.metrics_every else { return };
        let pusher = Pusher {
            sink: self.sink.clone(),
            service: self.options.service.clone(),
            began_at: self.options.clock.now(),
            clock: self.options.clock.clone(),
            every,
            source,
        };
        let stop = self.stop.clone();
        self.spawn(pusher.push(stop));
    }

    /// Starts what the end waits for.
    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let (closing, closed) = oneshot::channel();
        self.closed.push(closed);
        self.tasks.spawn(async move {
            work.await;
            // Whoever waits for this may have gone.
            let _ = closing.send(());
        });
    }

    /// Sends what is left, for a bounded time, and stops.
    pub async fn close(self) {
        self.stop.cancel();
        // An error means that there is nothing to wait for.
        let closed = async {
            for closed in self.closed {
                let _ = closed.await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_WAIT, closed).await;
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
    sink: Sink,
    service: String,
    dropped: Arc<AtomicU64>,
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
            let asked = match self.sink.attempt("/v1/traces", body.clone()).await {
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
}
