//! Counting by one script that runs in the server, and reading what it says.

use genie_core::clock::Timestamp;
use genie_core::pace::{Claim, Mark, Span, Standing};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};

/// The server's time in microseconds. Processes with other clocks agree on it.
const TIME: &str = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n";
/// Counts, once `now` is set.
const COUNT: &str = include_str!("count.lua");
/// The claim that finds out whether the server counts; it fits always.
const PROBE: Claim = Claim { rule: "probe", whom: String::new(), quota: u32::MAX, span: Span::Day };

/// Why a server's answer is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCounted {
    /// It refuses, or is not reached.
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
    /// What it says is not what the script gives.
    #[error("the answer of the script has {0} numbers")]
    Unreadable(usize),
}

/// Counts in the server.
pub(crate) struct Counter {
    script: Script,
    prefix: String,
}

impl Counter {
    /// Keeps its marks under keys that begin with this.
    pub(crate) fn new(prefix: &str) -> Self {
        Self::by(&format!("{TIME}{COUNT}"), prefix)
    }

    fn by(script: &str, prefix: &str) -> Self {
        // What stands in braces alone says where a cluster keeps a key, so that no script is split.
        Self { script: Script::new(script), prefix: format!("{{{prefix}}}:") }
    }

    /// Counts one request against every claim or against none; gives how each stands.
    pub(crate) async fn count(
        &self,
        connection: &mut MultiplexedConnection,
        claims: &[Claim],
    ) -> Result<Vec<Standing>, NotCounted> {
        let mut call = self.script.prepare_invoke();
        for claim in claims {
            call.key(format!("{}{}:{}", self.prefix, claim.rule, claim.whom));
            let kind = match claim.span {
                Span::Flow(_) => "flow",
                Span::Day => "day",
            };
            call.arg(kind).arg(claim.each_us()).arg(claim.quota.max(1));
        }
        let reply: RedisResult<Vec<i64>> = call.invoke_async(connection).await;
        read(claims, &reply?)
    }

    /// Finds out whether the server counts: that it answers is not enough, since it may be a
    /// replica, or full.
    pub(crate) async fn probe(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), NotCounted> {
        self.count(connection, &[PROBE]).await.map(drop)
    }
}

/// What the script says of each claim.
fn read(claims: &[Claim], reply: &[i64]) -> Result<Vec<Standing>, NotCounted> {
    let unreadable = || NotCounted::Unreadable(reply.len());
    let (now, marks) = reply.split_first().ok_or_else(unreadable)?;
    if marks.len() != 2 * claims.len() {
        return Err(unreadable());
    }
    let now = Timestamp::from_micros(*now);
    let standing = |(claim, told): (&Claim, &[i64])| {
        let mark: Option<Mark> = Some(told[1]).filter(|mark| *mark >= 0);
        claim.standing(mark, now, told[0] == 1)
    };
    Ok(claims.iter().zip(marks.chunks_exact(2)).map(standing).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use genie_core::clock::Clock;
    use genie_core::ids::{Ids, SeededIds};
    use genie_core::pace::{MemoryPaces, Paces};

    use super::*;

    /// A time that a test sets.
    #[derive(Default)]
    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::SeqCst))
        }
    }

    #[expect(clippy::disallowed_methods, reason = "scripts/with-redis says where it is")]
    async fn connection() -> MultiplexedConnection {
        let url = std::env::var("GENIE_TEST_REDIS_URL").unwrap();
        let client = redis::Client::open(url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    const DAY_US: i64 = 86_400_000_000;

    /// The script at a time that a test has made up, for which the server's own may be long.
    fn at(now: i64) -> String {
        let patient = COUNT.replace("math.ceil(", "60000 + math.ceil(");
        assert_ne!(patient, COUNT);
        format!("local now = {now}\n{patient}")
    }

    /// One of a few claims, so that histories meet the same ones again.
    fn claim(dice: u64) -> Claim {
        let flow = |micros| Span::Flow(Duration::from_micros(micros));
        let (rule, quota, span) = match dice % 5 {
            0 => ("key", 3, flow(60_000_000)),
            // Windows that the quota does not divide, and one that is shorter than its quota.
            1 => ("user", 7, flow(1_000_003)),
            2 => ("tenant", 40, flow(17)),
            3 => ("login", 1, flow(86_400_000_000)),
            _ => ("key-day", 4, Span::Day),
        };
        Claim { rule, whom: (dice / 5 % 3).to_string(), quota, span }
    }

    #[tokio::test]
    #[ignore = "needs Redis: scripts/test has it"]
    async fn the_script_counts_as_the_memory_does_over_any_history() {
        let mut connection = connection().await;
        for seed in 0..20 {
            let dice = SeededIds::new(seed);
            let clock = Arc::new(Set::default());
            let memory = MemoryPaces::by(clock.clone());
            let prefix = format!("genie-test-{}-{seed}", std::process::id());
            let mut now = 20_000 * DAY_US + dice.random().cast_signed() % DAY_US;
            for _ in 0..300 {
                // Mostly a little later, now and then half a day; at times not at all, or earlier.
                now += match dice.random() % 10 {
                    0 => DAY_US / 2,
                    1 | 2 => 0,
                    3 if now % DAY_US > 1_000 => -1_000,
                    _ => (dice.random() % 20_000_000).cast_signed(),
                };
                clock.0.store(now, Ordering::SeqCst);
                let count = 1 + dice.random() % 4;
                let claims: Vec<Claim> = (0..count).map(|_| claim(dice.random())).collect();
                let counter = Counter::by(&at(now), &prefix);
                let told = counter.count(&mut connection, &claims).await.unwrap();
                assert_eq!(told, memory.take(&claims).await.unwrap(), "{seed} {now} {claims:?}");
            }
        }
    }

    #[tokio::test]
    #[ignore = "needs Redis: scripts/test has it"]
    async fn nothing_is_kept_for_longer_than_it_is_worth_something() {
        let mut connection = connection().await;
        let prefix = format!("genie-test-ends-{}", std::process::id());
        let counter = Counter::new(&prefix);
        let flow = Claim {
            rule: "key",
            whom: "a".to_owned(),
            quota: 60,
            span: Span::Flow(Duration::from_mins(1)),
        };
        let day = Claim { rule: "key-day", span: Span::Day, ..flow.clone() };
        counter.count(&mut connection, &[flow, day]).await.unwrap();
        for (key, most_ms) in [("key:a", 1_001), ("key-day:a", 86_400_000)] {
            let mut ttl = redis::cmd("PTTL");
            let left: i64 =
                ttl.arg(format!("{{{prefix}}}:{key}")).query_async(&mut connection).await.unwrap();
            // It may have ended by now, which is -2.
            assert!(left == -2 || (0..=most_ms).contains(&left), "{key}: {left} ms");
        }
    }
}
