//! Opens a database: finds it, brings its tables up to date, takes a chain, starts the writer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use genie_core::approval::Approvals;
use genie_core::attempts::Attempts;
use genie_core::blob::Blobs;
use genie_core::budget::Budgets;
use genie_core::document::Documents;
use genie_core::identity::KeyRing;
use genie_core::identity::accounts::Accounts;
use genie_core::journal::Journal;
use genie_core::journal::chain::Head;
use genie_core::runs::Runs;
use genie_core::tasks::Tasks;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::SqlitePool;

use crate::accounts::StoredAccounts;
use crate::approvals::StoredApprovals;
use crate::attempts::StoredAttempts;
use crate::blobs::StoredBlobs;
use crate::budgets::StoredBudgets;
use crate::checkpoints::Checkpoints;
use crate::documents::StoredDocuments;
use crate::identity::StoredKeys;
use crate::journal::{Chain, StoredJournal};
use crate::pack::{self, Index};
use crate::pool::{Db, Owner, Pools, on};
use crate::postgres::{self, PostgresSink};
use crate::queue::Queue;
use crate::runs::StoredRuns;
use crate::schema::{self, NotReverted};
use crate::sealing::group::GroupSealer;
use crate::sealing::kek::KeySource;
use crate::sealing::{self, Sealing};
use crate::sqlite::{self, Held, Locked, SqliteSink};
use crate::stats::Stats;
use crate::writer::{self, Retry, Sink};

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// SQLite, in the file `genie.db` of this directory.
    Sqlite(PathBuf),
    /// PostgreSQL, at this URL.
    Postgres(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Location {
    /// Without the user and password that a URL may hold.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(directory) => sqlite::file(directory).display().fmt(formatter),
            Self::Postgres(url) => {
                let place = url.split_once("://").map_or("", |(_, place)| place);
                let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
                let place = place.split_once('?').map_or(place, |(place, _)| place);
                write!(formatter, "postgres://{place}")
            }
        }
    }
}

/// What a process wants of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To run agents: it takes a chain and writes it.
    Own,
    /// To read and to decide approvals; it runs nothing.
    Look,
}

/// How the database is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// What this process is called in the list of chains.
    pub node: String,
    /// Most bytes of records and content that wait to be written.
    pub queue_bytes_max: usize,
    /// Most bytes of content that are kept in memory.
    pub blob_cache_bytes_max: u64,
    /// How long a chain stays ours without a heartbeat. PostgreSQL only.
    pub lease: Duration,
    /// How often the lease is renewed.
    pub heartbeat: Duration,
    /// How often to look whether another process has made a run due.
    pub poll_every: Duration,
    /// When to ask again after the database refused.
    pub retry: Retry,
    /// Where the keys come from that the personal data is sealed with; without, a new database
    /// keeps it in the clear, and one that has sealed data is refused to whoever runs agents.
    pub sealing: Option<KeySource>,
    /// Most pages of 8 KiB in a SQLite file; `None` leaves it to the disk.
    pub sqlite_pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: format!("process {}", std::process::id()),
            queue_bytes_max: 64 << 20,
            blob_cache_bytes_max: 64 << 20,
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(3),
            poll_every: Duration::from_millis(500),
            retry: Retry { first: Duration::from_millis(50), longest: Duration::from_secs(2) },
            sealing: None,
            sqlite_pages_max: None,
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process runs agents there.
    #[error(
        "another genie process ({pid}) owns the runs in `{}`; stop it, or use \
         `--database postgres://…` to share", path.display()
    )]
    Owned {
        /// The directory.
        path: PathBuf,
        /// The process, as it says itself.
        pid: String,
    },
    /// There is nothing to look at.
    #[error("there is no database `{0}`; run an agent first, or give another place")]
    Missing(Location),
    /// The directory cannot be used.
    #[error("`{}` cannot be used as data directory: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The tables are older than this program.
    #[error("the tables in `{0}` are older than this program; run `genie db migrate`")]
    Older(Location),
    /// The tables are newer than this program.
    #[error("the tables in `{0}` are newer than this program; use the newer program")]
    Newer(Location),
    /// The tables could not be brought up to date.
    #[error("the tables in `{0}` could not be changed: {1}")]
    Tables(Location, #[source] MigrateError),
    /// Nobody could read what would be left.
    #[error(
        "{sealed} records, contents, approvals or accounts in `{place}` are sealed or erased, and \
         unreadable without this step; take back the steps of their tables, too, to lose them"
    )]
    Sealed {
        /// The database.
        place: Location,
        /// How many.
        sealed: u64,
    },
    /// The key of the personal data is not there.
    #[error("`{0}` cannot be used: {1}")]
    Sealing(Location, #[source] sealing::Error),
    /// The end of the chain is not where it was left.
    #[error(
        "the last record of chain {chain} in `{place}` is not the one that was written last; run \
         `genie audit verify`"
    )]
    Truncated {
        /// The database.
        place: Location,
        /// The chain.
        chain: i64,
    },
    /// The database refuses.
    #[error("`{0}` cannot be opened: {1}")]
    Database(Location, #[source] sqlx::Error),
}

/// An open database.
pub struct Opened {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// Who owns which run.
    pub runs: Arc<dyn Runs>,
    /// Approvals.
    pub approvals: Arc<dyn Approvals>,
    /// Large content.
    pub blobs: Arc<dyn Blobs>,
    /// What clients have asked under keys of their own.
    pub attempts: Arc<dyn Attempts>,
    /// What people have sent to ask about.
    pub documents: Arc<dyn Documents>,
    /// Who may come in.
    pub keys: Arc<dyn KeyRing>,
    /// What keys may spend.
    pub budgets: Arc<dyn Budgets>,
    /// Who signs in with a password.
    pub accounts: Arc<dyn Accounts>,
    /// What an auditor needs.
    pub checkpoints: Checkpoints,
    connected: Connected,
    sealing: Arc<Sealing>,
    own: Option<(Owner, Arc<Queue>)>,
    tasks: Tasks,
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("own", &self.own).finish_non_exhaustive()
    }
}

/// The connections to a place.
struct Connected {
    place: Location,
    pools: Pools,
    held: Option<Held>,
    way: Way,
}

/// How the journal's writer gets there.
enum Way {
    File(SqlitePool, PathBuf),
    Server(PgPool, Box<PgConnectOptions>),
}

/// A chain that is ours, and its end.
type Taken = (Owner, Head);

impl Connected {
    /// Connects; who is going to change the tables or to write the journal does so `alone` in a
    /// directory, which is made if need be.
    async fn to(place: &Location, alone: bool, options: &Options) -> Result<Self, OpenError> {
        let database = |error| OpenError::Database(place.clone(), error);
        let (pools, held, way) = match place {
            Location::Sqlite(directory) => {
                let held = if alone { Some(hold(directory)?) } else { None };
                if !alone && !sqlite::file(directory).is_file() {
                    return Err(OpenError::Missing(place.clone()));
                }
                let pools = sqlite::connect(directory, alone, options.sqlite_pages_max);
                let (pools, write) = pools.await.map_err(database)?;
                (pools, held, Way::File(write, directory.clone()))
            }
            Location::Postgres(url) => {
                let (pool, server) = postgres::connect(url).await.map_err(database)?;
                let pools =
                    Pools { read: Db::Postgres(pool.clone()), write: Db::Postgres(pool.clone()) };
                (pools, None, Way::Server(pool, Box::new(server)))
            }
        };
        Ok(Self { place: place.clone(), pools, held, way })
    }

    fn database(&self, error: sqlx::Error) -> OpenError {
        OpenError::Database(self.place.clone(), error)
    }

    fn tables(&self, error: MigrateError) -> OpenError {
        match error {
            MigrateError::VersionMissing(_) => OpenError::Newer(self.place.clone()),
            error => OpenError::Tables(self.place.clone(), error),
        }
    }

    /// Whether the tables are those of this program.
    async fn up_to_date(&self) -> Result<(), OpenError> {
        let steps = schema::status(&self.pools.read).await.map_err(|error| self.tables(error))?;
        if steps.iter().any(|step| !step.known) {
            return Err(OpenError::Newer(self.place.clone()));
        }
        if steps.iter().any(|step| !step.applied) {
            return Err(OpenError::Older(self.place.clone()));
        }
        Ok(())
    }

    /// Brings the tables up to date, sees to the keys and takes a chain.
    async fn own(&self, options: &Options, sealing: &Arc<Sealing>) -> Result<Taken, OpenError> {
        schema::migrate(&self.pools.write).await.map_err(|error| self.tables(error))?;
        let refused = |error| OpenError::Sealing(self.place.clone(), error);
        sealing.begin().await.map_err(refused)?;
        let sealed = StoredAccounts::over(sealing).seal_clear().await;
        sealed.map_err(|error| refused(sealing::Error::Cipher(error.0)))?;
        let taken = match &self.way {
            Way::File(pool, _) => sqlite::own(pool, &options.node).await,
            Way::Server(pool, _) => postgres::own(pool, &options.node, options.lease).await,
        };
        let (owner, head) = taken.map_err(|error| self.database(error))?;
        let last = self.last(owner).await.map_err(|error| self.database(error))?;
        if last == head {
            return Ok((owner, head));
        }
        self.release(owner).await;
        Err(OpenError::Truncated { place: self.place.clone(), chain: owner.chain })
    }

    /// The last record of the chain.
    async fn last(&self, owner: Owner) -> Result<Head, sqlx::Error> {
        let last: Option<Index> = on!(&self.pools.write, pool => {
            sqlx::query_as(pack::LAST).bind(owner.chain).fetch_optional(pool).await
        })?;
        Ok(last.map_or(Head::EMPTY, |last| last.head()))
    }

    /// Lets go of a chain that others may take.
    async fn release(&self, owner: Owner) {
        let Way::Server(pool, _) = &self.way else { return };
        if let Err(error) = postgres::release(pool, owner).await {
            tracing::warn!(%error, "the chain was not released; its lease ends by itself");
        }
    }

    /// Starts what writes the chain and keeps it ours.
    fn start(
        &self,
        tasks: &Tasks,
        (owner, head): (Owner, Head),
        (sealer, options): (GroupSealer, &Options),
    ) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(head, options.queue_bytes_max));
        let sink = match &self.way {
            Way::File(pool, directory) => {
                let sink = SqliteSink::new(pool.clone(), owner, directory.clone());
                tasks.spawn(sqlite::copy(sqlite::file(directory), sink.long_log()));
                Sink::Sqlite(Box::new(sink))
            }
            Way::Server(pool, server) => {
                let lease = (options.lease, options.heartbeat);
                tasks.spawn(postgres::heartbeat(pool.clone(), owner, queue.clone(), lease));
                Sink::Postgres(Box::new(PostgresSink::new((**server).clone(), owner)))
            }
        };
        tasks.spawn(writer::run(queue.clone(), sealer, sink, options.retry));
        queue
    }
}

fn hold(directory: &Path) -> Result<Held, OpenError> {
    let path = directory.to_owned();
    match sqlite::lock(directory) {
        Ok(Locked::Held(held)) => Ok(held),
        Ok(Locked::Owned(pid)) => Err(OpenError::Owned { path, pid }),
        Err(source) => Err(OpenError::Directory { path, source }),
    }
}

/// Opens a database. It must be [closed](Opened::close) in the end.
///
/// # Errors
/// [`OpenError`]; no chain is held then.
pub async fn open(place: &Location, mode: Mode, options: Options) -> Result<Opened, OpenError> {
    let connected = Connected::to(place, mode == Mode::Own, &options).await?;
    let pools = connected.pools.clone();
    let sealing = Arc::new(Sealing::new(pools.clone(), options.sealing.clone()));
    let taken = match mode {
        Mode::Look => connected.up_to_date().await.map(|()| None),
        Mode::Own => connected.own(&options, &sealing).await.map(Some),
    };
    let taken = match taken {
        Ok(taken) => taken,
        Err(error) => {
            connected.pools.close().await;
            return Err(error);
        }
    };
    let tasks = Tasks::default();
    let own = taken.map(|(owner, head)| {
        // Who runs agents without keys found that nothing is sealed.
        let sealed = sealing.source().is_some().then(|| sealing.clone());
        let sealer = GroupSealer::new(sealed, owner.chain);
        let queue = connected.start(&tasks, (owner, head), (sealer, &options));
        (owner, Chain { id: owner.chain, head, queue })
    });
    let queue = own.as_ref().map(|(_, chain)| chain.queue.clone());
    let owner = own.as_ref().map(|(owner, chain)| (*owner, chain.queue.clone()));
    let (poll_every, cache) = (options.poll_every, options.blob_cache_bytes_max);
    let chain = own.map(|(_, chain)| chain);
    let checkpoints = Checkpoints {
        pools: pools.clone(),
        own: owner.as_ref().map(|(o, _)| o.chain),
        sealing: sealing.clone(),
    };
    let journal = StoredJournal { pools: pools.clone(), chain, sealing: sealing.clone() };
    let approvals = StoredApprovals { pools: pools.clone(), sealing: sealing.clone() };
    Ok(Opened {
        journal: Arc::new(journal),
        runs: Arc::new(StoredRuns { pools: pools.clone(), owner: owner.clone(), poll_every }),
        approvals: Arc::new(approvals),
        attempts: Arc::new(StoredAttempts { pools: pools.clone() }),
        documents: Arc::new(StoredDocuments { pools: pools.clone(), sealing: sealing.clone() }),
        keys: Arc::new(StoredKeys { pools: pools.clone() }),
        budgets: Arc::new(StoredBudgets { pools }),
        accounts: Arc::new(StoredAccounts::over(&sealing)),
        blobs: Arc::new(StoredBlobs::new(sealing.clone(), queue, cache)),
        checkpoints,
        connected,
        sealing,
        own: owner,
        tasks,
    })
}

impl Opened {
    /// Writes what is left to write, lets go of the chain and ends every task and connection.
    ///
    /// # Errors
    /// Records that could not be written; everything is closed all the same.
    pub async fn close(self) -> Result<(), genie_core::journal::Error> {
        let mut written = Ok(());
        if let Some((_, queue)) = &self.own {
            written = queue.settled().await;
            queue.shut("the store is closed".to_owned());
        }
        self.tasks.shut_down().await;
        if let Some((owner, _)) = &self.own {
            self.connected.release(*owner).await;
        }
        self.connected.pools.close().await;
        // The directory is free only now.
        drop(self.connected.held);
        written
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.connected.pools
    }

    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// What the database holds and what it costs.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub async fn stats(&self) -> Result<Stats, sqlx::Error> {
        Stats::of(&self.connected.pools.read).await
    }
}

/// Takes every step of the tables that the database has not; gives all steps.
///
/// # Errors
/// [`OpenError`]; steps before the one that failed stay.
pub async fn migrate(place: &Location) -> Result<Vec<schema::Status>, OpenError> {
    let connected = Connected::to(place, true, &Options::default()).await?;
    let done = schema::migrate(&connected.pools.write).await;
    finish(connected, done).await
}

/// Takes back the last `count` steps, with whatever is in their tables; gives all steps.
///
/// # Errors
/// [`OpenError`]; steps after the one that failed are taken back.
pub async fn revert(place: &Location, count: usize) -> Result<Vec<schema::Status>, OpenError> {
    let connected = Connected::to(place, true, &Options::default()).await?;
    let done = match schema::revert(&connected.pools.write, count).await {
        Ok(()) => Ok(()),
        Err(NotReverted::Failed(error)) => Err(error),
        Err(NotReverted::Sealed(sealed)) => {
            connected.pools.close().await;
            return Err(OpenError::Sealed { place: place.clone(), sealed });
        }
    };
    finish(connected, done).await
}

/// The steps of the tables, and which of them the database has.
///
/// # Errors
/// [`OpenError`].
pub async fn status(place: &Location) -> Result<Vec<schema::Status>, OpenError> {
    let connected = Connected::to(place, false, &Options::default()).await?;
    finish(connected, Ok(())).await
}

async fn finish(
    connected: Connected,
    done: Result<(), MigrateError>,
) -> Result<Vec<schema::Status>, OpenError> {
    let status = match done {
        Ok(()) => schema::status(&connected.pools.write).await,
        Err(error) => Err(error),
    };
    let status = status.map_err(|error| connected.tables(error));
    connected.pools.close().await;
    status
}
