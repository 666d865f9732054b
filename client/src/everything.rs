//! The events of all runs that a token may see, over as many connections as it takes.

use crate::client::{Client, EVENTS, Request};
use crate::error::Error;
use crate::events::Event;
use crate::feed::{Feed, Next};

/// The events of all runs. What is on record comes once and in order, also if the connection
/// breaks, from the first event on that has come, or behind the place that was given.
#[derive(Debug)]
pub struct Everything {
    client: Client,
    feed: Feed,
    last: Option<String>,
}

impl Everything {
    /// The place behind the last event on record that was given, to go on from later.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The next event, which may be long in coming. Dropping the future loses nothing that is on
    /// record.
    ///
    /// # Errors
    /// A server that says no, such as `gone` for a place that is not kept any more, or that is not
    /// reached.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let problem = match self.feed.next().await? {
                Next::Frame(frame) if frame.name == "stream.closing" => continue,
                Next::Frame(frame) => {
                    let id = frame.id.clone();
                    let event = Event::read(frame)?;
                    self.last = id.or_else(|| self.last.take());
                    return Ok(event);
                }
                Next::Unconnected => {
                    self.connect().await?;
                    continue;
                }
                Next::Ended => "the stream ended".to_owned(),
                Next::Broken(problem) => problem,
            };
            self.feed.broken(problem, &self.client).await?;
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let path = ["v1", "events"];
        let request = Request::get(&path).accepting(EVENTS).behind(self.last.as_deref());
        self.feed.connect(self.client.send(request).await?);
        Ok(())
    }
}

impl Client {
    /// The events of all runs that this token may see: from now on, once it has returned, or behind
    /// a place that [`Everything::place`] gave.
    ///
    /// # Errors
    /// As [`Everything::next`].
    pub async fn everything(&self, place: Option<&str>) -> Result<Everything, Error> {
        let last = place.map(str::to_owned);
        let mut all = Everything { client: self.clone(), feed: Feed::default(), last };
        all.connect().await?;
        Ok(all)
    }
}
