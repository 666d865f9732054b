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
mod audit;
mod auth;
mod batch;
mod body;
mod connection;
mod documents;
mod edge;
mod entrance;
mod error;
mod events;
mod follow;
mod health;
mod keys;
mod metrics;
mod money;
mod newcomer;
mod openapi;
mod pace;
mod page;
mod password;
mod policies;
mod profiles;
mod receipts;
mod request;
mod retry;
mod rights;
mod router;
mod runs;
mod server;
mod sessions;
mod socket;
mod system;
mod throughput;
mod tokens;
mod tools;
mod upload;
mod view;
mod watch;

#[cfg(test)]
mod desk;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod sign_in_tests;
#[cfg(test)]
mod stream_tests;

pub use ask::Question;
pub use documents::Read;
pub use edge::{Limits, Options, SignIn};
pub use entrance::{Admit, Entrance, first_admin, set_password};
pub use money::Currency;
pub use newcomer::{Newcomer, NotMade, normal};
pub use profiles::{NoProfile, Profiles, Take};
pub use server::{Server, StartError, start};
pub use system::About;
pub use tokens::{Seed, Seeds, key_id};
pub use tools::Requested;
