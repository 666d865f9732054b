//! The events of a run, typed, each once and in order, over as many connections as it takes.

use genie_core::ids::RunId;
use genie_core::journal::{self, Entry};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::client::{Client, EVENTS, Request};
use crate::error::Error;
use crate::feed::{Feed, Next};
use crate::frames::Frame;

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub struct Event {
    /// The number of its record in the journal of the process that the run is in; `None` for what
    /// is not on record, and so is not given again after a broken connection.
    pub id: Option<u64>,
    /// Its name, such as `run.started`.
    pub name: String,
    /// Its data, as it came.
    pub data: Value,
    /// What is on record; `None` for what is not, or is of a type that only a later client knows.
    pub entry: Option<Box<Entry>>,
}

impl Event {
    pub(crate) fn read(frame: Frame) -> Result<Self, Error> {
        let data: Value =
            serde_json::from_str(&frame.data).map_err(|error| Error::unreadable(&error))?;
        // Among the events of all runs, the number of the chain may stand before it.
        let number = |id: &str| id.rsplit('-').next().and_then(|number| number.parse().ok());
        let id: Option<u64> = frame.id.as_deref().and_then(number);
        let entry = id.and_then(|_| journal::entry_shown(&data).ok()).map(Box::new);
        Ok(Self { id, name: frame.name, data, entry })
    }

    /// Whether the run has ended with it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        let ends = ["completed", "denied", "failed", "cancelled", "expired"];
        self.name.strip_prefix("run.").is_some_and(|end| ends.contains(&end))
    }

    /// Whether the run waits for a human from here on.
    #[must_use]
    pub fn is_halt(&self) -> bool {
        let entry = self.entry.as_deref();
        let waits = |for_whom: &[_]| !for_whom.is_empty();
        self.is_end()
            || matches!(entry, Some(Entry::RunWaiting { approvals, .. }) if waits(approvals))
    }
}

/// Where to stop reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// At what is on record now.
    Now,
    /// At the end of the run, or where it waits for a human.
    Halt,
    /// At the end of the run.
    End,
}

/// The events of a run. Nothing is lost and nothing comes twice if the connection breaks.
#[derive(Debug)]
pub struct Events {
    client: Client,
    run: RunId,
    until: Until,
    feed: Feed,
    last: Option<u64>,
    is_over: bool,
}

impl Events {
    pub(crate) fn new(client: Client, run: RunId, (last, until): (Option<u64>, Until)) -> Self {
        Self { client, run, until, feed: Feed::default(), last, is_over: false }
    }

    /// Goes on in an answer that has begun.
    pub(crate) fn over(client: Client, run: RunId, response: Response) -> Self {
        let mut events = Self::new(client, run, (None, Until::Halt));
        events.feed.connect(response);
        events
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Whether these events end where the run waits for a human.
    #[must_use]
    pub fn stop_where_it_waits(&self) -> bool {
        self.until == Until::Halt
    }

    /// The id of the last event on record that was given.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// The next event; `None` once there is none to come. Dropping the future loses nothing that is
    /// on record.
    ///
    /// # Errors
    /// A server that says no, or is not reached any more.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if self.is_over && self.feed.is_drained() {
                return Ok(None);
            }
            let problem = match self.feed.next().await? {
                Next::Frame(frame) => match self.event(frame)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                },
                Next::Unconnected => {
                    self.connect().await?;
                    continue;
                }
                // All that is on record has been told, and the server says so by ending.
                Next::Ended if self.until == Until::Now => {
                    self.is_over = true;
                    continue;
                }
                Next::Ended => "the stream ended before the run".to_owned(),
                Next::Broken(problem) => problem,
            };
            self.feed.broken(problem, &self.client).await?;
        }
    }

    /// What a frame says; `None` for what is about the stream only.
    fn event(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        if frame.name == "stream.closing" {
            return Ok(None);
        }
        let event = Event::read(frame)?;
        self.last = event.id.or(self.last);
        self.is_over |= match self.until {
            Until::Now => false,
            Until::Halt => event.is_halt(),
            Until::End => event.is_end(),
        };
        Ok(Some(event))
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let run = self.run.to_string();
        let path = ["v1", "runs", &run, "events"];
        let follow = (self.until == Until::Now).then_some("false");
        let last = self.last.map(|last| last.to_string());
        let request = Request::get(&path).accepting(EVENTS).behind(last.as_deref());
        let response = self.client.send(request.with("follow", follow)).await?;
        // Nothing is left to come.
        self.is_over = response.status() == StatusCode::NO_CONTENT;
        self.feed.connect(response);
        Ok(())
    }
}
