//! One contract for paces in memory and in Redis; then what only a server can do wrong.
//!
//! The tests with Redis need `GENIE_TEST_REDIS_URL` and `GENIE_TEST_REDIS_SERVER`, the binary that
//! they start and kill themselves; `scripts/with-redis` sets both.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod contract;
mod outage;
mod server;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::pace::{Claim, Outage, Span};
use genie_redis::{Options, SharedPaces};
use zeroize::Zeroizing;

/// How these paces are counted: patiently, since a machine that runs tests may be busy.
fn options(url: &str, prefix: &str) -> Options {
    let start = Timestamp::from_micros(1_795_275_569_000_000);
    Options {
        url: Zeroizing::new(url.to_owned()),
        prefix: prefix.to_owned(),
        answer_max: Duration::from_secs(30),
        outages: vec![("key", Outage::Local), ("user", Outage::Open), ("login", Outage::Closed)],
        clock: Arc::new(SteadyClock::starting_at(start)),
    }
}

/// A prefix that no other test has.
fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("genie-test-{}-{count}", std::process::id())
}

async fn shared(url: &str, prefix: &str) -> SharedPaces {
    SharedPaces::start(options(url, prefix)).await.unwrap()
}

fn claim(rule: &'static str, whom: &str, (quota, span): (u32, Span)) -> Claim {
    Claim { rule, whom: whom.to_owned(), quota, span }
}

fn hour() -> Span {
    Span::Flow(Duration::from_hours(1))
}
