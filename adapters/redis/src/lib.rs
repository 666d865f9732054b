//! Limits in Redis: requests that several processes count together.
//!
//! One script counts a request against all of its claims, by the server's own time. A server that
//! does not answer costs a request a bounded time once, and then nothing until it is there again;
//! what becomes of requests meanwhile is said rule by rule.

mod counter;
mod link;
mod shared;

pub use link::StartError;
pub use shared::{Options, SharedPaces};
