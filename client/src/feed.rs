//! The frames of a stream, over one connection after the other.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;

use crate::client::Client;
use crate::error::{Error, told};
use crate::frames::{Frame, Frames};
use crate::pace::{self, ATTEMPTS_MAX};

/// Longest silence of a stream; the server says every 15 seconds that it is alive.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// What comes next of a stream.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame.
    Frame(Frame),
    /// Nothing, before there is a connection.
    Unconnected,
    /// Nothing more: the server has ended the stream.
    Ended,
    /// Nothing more: the connection broke.
    Broken(String),
}

/// A stream as it comes.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    response: Option<Response>,
    frames: Frames,
    read: VecDeque<Frame>,
    /// Connections since something came.
    attempts: u32,
}

impl Feed {
    /// Goes on in this answer.
    pub(crate) fn connect(&mut self, response: Response) {
        self.response = Some(response);
    }

    /// Whether every frame that has come was given.
    pub(crate) fn is_drained(&self) -> bool {
        self.read.is_empty()
    }

    /// What comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A frame that is too long.
    pub(crate) async fn next(&mut self) -> Result<Next, Error> {
        loop {
            if let Some(frame) = self.read.pop_front() {
                self.attempts = 0;
                return Ok(Next::Frame(frame));
            }
            let Some(response) = &mut self.response else { return Ok(Next::Unconnected) };
            match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    let frames = self.frames.take(&bytes);
                    let too_long = |_| Error::Unreadable("an event is too long".to_owned());
                    self.read.extend(frames.map_err(too_long)?);
                }
                Ok(Ok(None)) => return Ok(Next::Ended),
                Ok(Err(error)) => return Ok(Next::Broken(told(error))),
                Err(_) => return Ok(Next::Broken(format!("nothing came within {SILENCE_MAX:?}"))),
            }
        }
    }

    /// Takes note that the connection is gone, and waits before the next.
    ///
    /// # Errors
    /// It has broken too often.
    pub(crate) async fn broken(&mut self, problem: String, client: &Client) -> Result<(), Error> {
        (self.response, self.frames) = (None, Frames::default());
        self.attempts += 1;
        let attempts = self.attempts;
        let wait = pace::wait(attempts, None, &*client.ids).filter(|_| attempts < ATTEMPTS_MAX);
        tokio::time::sleep(wait.ok_or_else(|| client.unreachable(attempts, problem))?).await;
        Ok(())
    }
}
