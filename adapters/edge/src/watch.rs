//! `GET /v1/events`: everything that the caller may see, as this process records it. What others
//! over the same store record is on their own streams.
//!
//! `id` is the number of the record in the journal of this process, with the number of its chain
//! before it if that is not the first. A client that comes back with it as `Last-Event-ID` goes on
//! behind it; if that cannot be done without a gap, it is told so.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use genie_core::Kernel;
use genie_core::journal::{self, Entry, Record};
use genie_core::ours::{Of, OurEvents};
use genie_core::principal::Identity;
use genie_core::tap::Event;

use crate::auth::Known;
use crate::edge::Edge;
use crate::error::Problem;
use crate::events::{Broken, Source, beside, frame, stream};
use crate::rights;
use crate::view::Sight;

/// `GET /v1/events`.
pub(crate) async fn everything(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kernel = edge.kernel();
    let last = headers.get("last-event-id").map(|last| place(kernel, last)).transpose()?;
    let events = match kernel.events(caller.tenant(), last).await {
        // What is not kept any more cannot be caught up with.
        Err(journal::Error::Pruned { .. }) => return Err(Problem::gone()),
        events => events?,
    };
    let identity = caller.identity().clone();
    let everything = Everything { kernel: kernel.clone(), identity, events };
    Ok(stream(&edge, caller, everything))
}

/// The number of the record that a client has seen last.
fn place(kernel: &Kernel, last: &HeaderValue) -> Result<u64, Problem> {
    let text = last.to_str().unwrap_or_default().trim();
    let (chain, seq) = text.split_once('-').unwrap_or(("1", text));
    let (Ok(chain), Ok(seq)) = (chain.parse::<i64>(), seq.parse::<u64>()) else {
        let problem = "`Last-Event-ID` is not the id of an event; leave it out to begin";
        return Err(Problem::malformed(problem));
    };
    if chain == kernel.chain() && seq <= kernel.head().seq { Ok(seq) } else { Err(Problem::gone()) }
}

/// The events of all runs that somebody may see.
struct Everything {
    kernel: Kernel,
    identity: Identity,
    events: OurEvents,
}

impl Everything {
    fn id(&self, record: &Record) -> String {
        match self.kernel.chain() {
            1 => record.seq.to_string(),
            chain => format!("{chain}-{}", record.seq),
        }
    }
}

impl Source for Everything {
    async fn next(&mut self) -> Result<Option<Event>, Broken> {
        while let Some(Of { subject, it }) = self.events.next().await? {
            if rights::sees(&self.identity, &subject) {
                return Ok(Some(it));
            }
        }
        Ok(None)
    }

    async fn frame(&mut self, event: &Event) -> Result<Option<Bytes>, Broken> {
        let Some(name) = event.name() else { return Ok(None) };
        let data = match event {
            Event::Ephemeral(ephemeral) => beside(ephemeral),
            Event::Recorded(record) => {
                self.kernel.durable(record.seq).await?;
                let mut data = Sight::of(&self.identity).entry(&record.entry, None);
                // The answer is in the message to whoever asked; here it would be there only as
                // long as nobody has to read it back.
                if matches!(record.entry, Entry::Outcome { .. })
                    && let Some(fields) = data.as_object_mut()
                {
                    fields.remove("answer");
                }
                data
            }
        };
        Ok(Some(frame((name, event), &data, |record| self.id(record))))
    }

    fn ends(&self, _: &Event) -> bool {
        false
    }
}
