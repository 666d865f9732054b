//! Genie's HTTP edge: routes, authorization, answers, events as server-sent events.
//!
//! Handlers are thin: they read a request, ask the kernel and write what it says. What a route is
//! called and who may use it is in [`router`] and [`rights`]; which status a failure has is in
//! [`error`], and nowhere else. The edge sees the core only; the composition root gives it what it
//! needs in [`Options`].

mod agents;
mod answer;
mod approvals;
mod ask;
mod auth;
mod body;
mod edge;
mod error;
mod events;
mod follow;
mod health;
mod hub;
mod keys;
mod metrics;
mod pace;
mod page;
mod receipts;
mod request;
mod retry;
mod rights;
mod router;
mod runs;
mod server;
mod tools;
mod view;

#[cfg(test)]
mod desk;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod stream_tests;

pub use ask::Question;
pub use edge::{Limits, Options};
pub use keys::first_admin;
pub use server::{Server, StartError, start};
pub use tools::Requested;
