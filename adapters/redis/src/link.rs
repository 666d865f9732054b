//! The connection: made again whenever it is lost, and not waited for meanwhile.

use std::sync::Arc;
use std::time::Duration;

use genie_core::pace::{Claim, Standing};
use genie_core::tasks::Tasks;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::counter::{Counter, NotCounted};

/// Longest time to get a connection and find out whether the server counts.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often a connection that nobody uses is looked after.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The wait before the second attempt at a connection; doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// What a server says that is about to count.
const PASSING: [&str; 3] = ["LOADING", "BUSY", "TRYAGAIN"];

/// Why requests are not counted in Redis at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL is none.
    #[error("{0}; write `redis://USER:PASSWORD@HOST:PORT/DATABASE`, of which all but HOST may go")]
    Url(String),
    /// There is a server, and it refuses.
    #[error("Redis at `{server}` refuses: {problem}; {fix}")]
    Refused {
        /// The server, without a password.
        server: String,
        /// What it says.
        problem: String,
        /// What to do.
        fix: &'static str,
    },
}

/// A connection, and which one it is.
#[derive(Clone)]
struct Connection {
    number: u64,
    redis: MultiplexedConnection,
}

/// The way to a server that may be away.
pub(crate) struct Link {
    server: String,
    client: Client,
    counter: Counter,
    answer_max: Duration,
    current: watch::Sender<Option<Connection>>,
}

impl Link {
    /// Connects, and keeps on doing so whenever that is lost. A server that is away now is one
    /// that was lost.
    pub(crate) async fn start(
        url: &Zeroizing<String>,
        (prefix, answer_max): (&str, Duration),
        tasks: &Tasks,
    ) -> Result<Arc<Self>, StartError> {
        let (client, server) = client(url)?;
        let (counter, current) = (Counter::new(prefix), watch::Sender::new(None));
        let link = Arc::new(Self { server, client, counter, answer_max, current });
        match link.connect(0).await {
            Ok(connection) => drop(link.current.send_replace(Some(connection))),
            Err(Missing::Refused(problem, fix)) => {
                let server = link.server.clone();
                return Err(StartError::Refused { server, problem, fix });
            }
            Err(Missing::Away(problem)) => link.tell_lost(&problem),
        }
        tasks.spawn(link.clone().keep());
        Ok(link)
    }

    /// Whether the server was there when it was needed last.
    pub(crate) fn is_up(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// Counts one request; `None` if the server does not, which is found out in a bounded time and
    /// then known until it is there again.
    pub(crate) async fn count(&self, claims: &[Claim]) -> Option<Vec<Standing>> {
        let Connection { number, mut redis } = self.current.borrow().clone()?;
        let problem = match timeout(self.answer_max, self.counter.count(&mut redis, claims)).await {
            Ok(Ok(standings)) => return Some(standings),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not answer within {:?}", self.answer_max),
        };
        self.lose(number, &problem);
        None
    }

    /// Lets go of a connection, unless that was done already.
    fn lose(&self, number: u64, problem: &str) {
        let is_first = self.current.send_if_modified(|current| {
            let is_this = current.as_ref().is_some_and(|current| current.number == number);
            if is_this {
                *current = None;
            }
            is_this
        });
        if is_first {
            self.tell_lost(problem);
        }
    }

    fn tell_lost(&self, problem: &str) {
        let server = &self.server;
        tracing::warn!(server, problem, "Redis does not count requests; its outage has begun");
    }

    /// Looks after the connection, as long as the process lives.
    async fn keep(self: Arc<Self>) {
        let mut current = self.current.subscribe();
        for number in 1.. {
            self.watch(&mut current).await;
            let mut backoff = BACKOFF;
            let connection = loop {
                match self.connect(number).await {
                    Ok(connection) => break connection,
                    Err(Missing::Refused(problem, _) | Missing::Away(problem)) => {
                        tracing::debug!(server = self.server, problem, "Redis is still away");
                    }
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            };
            self.current.send_replace(Some(connection));
            tracing::info!(server = self.server, "Redis counts requests again");
        }
    }

    /// Returns once the connection is lost, which it looks for if nobody else does.
    async fn watch(&self, current: &mut watch::Receiver<Option<Connection>>) {
        loop {
            let Some(Connection { number, mut redis }) = current.borrow_and_update().clone() else {
                return;
            };
            tokio::select! {
                _ = current.changed() => continue,
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            match timeout(CONNECT_MAX, self.counter.probe(&mut redis)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.lose(number, &error.to_string()),
                Err(_) => self.lose(number, "it does not answer"),
            }
        }
    }

    async fn connect(&self, number: u64) -> Result<Connection, Missing> {
        let connected = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_MAX))
                .set_response_timeout(Some(CONNECT_MAX));
            let mut redis =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.counter.probe(&mut redis).await?;
            Ok(Connection { number, redis })
        };
        match timeout(CONNECT_MAX, connected).await {
            Ok(connected) => connected.map_err(|error: NotCounted| Missing::of(&error)),
            Err(_) => Err(Missing::Away("it does not answer".to_owned())),
        }
    }
}

/// Why there is no connection.
enum Missing {
    /// There is a server, and it refuses; with what to do.
    Refused(String, &'static str),
    /// It is away, or busy.
    Away(String),
}

impl Missing {
    fn of(error: &NotCounted) -> Self {
        let problem = error.to_string();
        let NotCounted::Redis(error) = error else {
            return Self::Refused(problem, "is it a Redis server?");
        };
        let fix = match error.code() {
            Some(code) if PASSING.contains(&code) => return Self::Away(problem),
            Some("NOAUTH" | "WRONGPASS") => "correct user and password in `redis.url`",
            Some("NOPERM") => "let the user run EVALSHA, SCRIPT LOAD, TIME, GET and SET",
            Some("READONLY") => "name the primary in `redis.url`",
            Some(_) => "see what its log says",
            None => return Self::of_kind(error, problem),
        };
        Self::Refused(problem, fix)
    }

    /// Of what the library says itself, only a refused password is the server's word.
    fn of_kind(error: &redis::RedisError, problem: String) -> Self {
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => {
                Self::Refused(problem, "correct user and password in `redis.url`")
            }
            _ => Self::Away(problem),
        }
    }
}

/// A client, and the server's name without a password.
fn client(url: &Zeroizing<String>) -> Result<(Client, String), StartError> {
    if url.starts_with("rediss:") || url.starts_with("valkeys:") {
        let problem = "this build speaks to Redis without TLS only, over a network of your own or \
                       through a tunnel";
        return Err(StartError::Url(problem.to_owned()));
    }
    let client = Client::open(url.as_str());
    let client = client.map_err(|_| {
        // What the library says might show the password.
        StartError::Url("`redis.url` is no URL of a Redis server".to_owned())
    })?;
    let server = client.get_connection_info().addr().to_string();
    Ok((client, server))
}
