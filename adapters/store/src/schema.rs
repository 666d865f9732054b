//! The tables: how they come about, step by step, and how each step is taken back.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::pool::{Db, on};

/// One step with the texts for both databases.
struct Step {
    version: i64,
    name: &'static str,
    sqlite: Texts,
    postgres: Texts,
}

struct Texts {
    up: &'static str,
    down: &'static str,
}

/// The steps, in order. A number says when a step was thought of; a database that lacks one takes
/// it, whatever later ones it has.
const STEPS: [Step; 11] = [
    Step {
        version: 1,
        name: "journal",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0001_journal.up.sql"),
            down: include_str!("../../../migrations/sqlite/0001_journal.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0001_journal.up.sql"),
            down: include_str!("../../../migrations/postgres/0001_journal.down.sql"),
        },
    },
    Step {
        version: SEALING,
        name: "sealing",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0002_sealing.up.sql"),
            down: include_str!("../../../migrations/sqlite/0002_sealing.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0002_sealing.up.sql"),
            down: include_str!("../../../migrations/postgres/0002_sealing.down.sql"),
        },
    },
    Step {
        version: 3,
        name: "identity",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0003_identity.up.sql"),
            down: include_str!("../../../migrations/sqlite/0003_identity.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0003_identity.up.sql"),
            down: include_str!("../../../migrations/postgres/0003_identity.down.sql"),
        },
    },
    Step {
        version: ACCOUNTS,
        name: "accounts",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0004_accounts.up.sql"),
            down: include_str!("../../../migrations/sqlite/0004_accounts.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0004_accounts.up.sql"),
            down: include_str!("../../../migrations/postgres/0004_accounts.down.sql"),
        },
    },
    Step {
        version: 5,
        name: "documents",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0005_documents.up.sql"),
            down: include_str!("../../../migrations/sqlite/0005_documents.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0005_documents.up.sql"),
            down: include_str!("../../../migrations/postgres/0005_documents.down.sql"),
        },
    },
    Step {
        version: 6,
        name: "budgets",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0006_budgets.up.sql"),
            down: include_str!("../../../migrations/sqlite/0006_budgets.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0006_budgets.up.sql"),
            down: include_str!("../../../migrations/postgres/0006_budgets.down.sql"),
        },
    },
    Step {
        version: ADDRESSES,
        name: "addresses",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0007_addresses.up.sql"),
            down: include_str!("../../../migrations/sqlite/0007_addresses.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0007_addresses.up.sql"),
            down: include_str!("../../../migrations/postgres/0007_addresses.down.sql"),
        },
    },
    Step {
        version: 8,
        name: "pending",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0008_pending.up.sql"),
            down: include_str!("../../../migrations/sqlite/0008_pending.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0008_pending.up.sql"),
            down: include_str!("../../../migrations/postgres/0008_pending.down.sql"),
        },
    },
    Step {
        version: 9,
        name: "costs",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0009_costs.up.sql"),
            down: include_str!("../../../migrations/sqlite/0009_costs.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0009_costs.up.sql"),
            down: include_str!("../../../migrations/postgres/0009_costs.down.sql"),
        },
    },
    Step {
        version: 10,
        name: "cancelled",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0010_cancelled.up.sql"),
            down: include_str!("../../../migrations/sqlite/0010_cancelled.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0010_cancelled.up.sql"),
            down: include_str!("../../../migrations/postgres/0010_cancelled.down.sql"),
        },
    },
    Step {
        version: PACKS,
        name: "packs",
        sqlite: Texts {
            up: include_str!("../../../migrations/sqlite/0011_packs.up.sql"),
            down: include_str!("../../../migrations/sqlite/0011_packs.down.sql"),
        },
        postgres: Texts {
            up: include_str!("../../../migrations/postgres/0011_packs.up.sql"),
            down: include_str!("../../../migrations/postgres/0011_packs.down.sql"),
        },
    },
];

/// The step that sealing came with.
const SEALING: i64 = 2;
/// The step that accounts came with.
const ACCOUNTS: i64 = 4;
/// The step that the sealing of accounts, and so of their addresses, came with.
const ADDRESSES: i64 = 7;
/// The step since which records lie together.
const PACKS: i64 = 11;

/// A step, and whether this database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether the database has it.
    pub applied: bool,
    /// Whether this program knows it; if not, a later one was here.
    pub known: bool,
}

fn migrator(texts: impl Fn(&Step) -> &Texts) -> Migrator {
    let step = |step: &Step| {
        let Texts { up, down } = *texts(step);
        let migration = |kind, text: &'static str| {
            Migration::new(step.version, step.name.into(), kind, text.into_sql_str(), false)
        };
        [migration(MigrationType::ReversibleUp, up), migration(MigrationType::ReversibleDown, down)]
    };
    Migrator::with_migrations(STEPS.iter().flat_map(step).collect())
}

fn migrator_for(db: &Db) -> Migrator {
    match db {
        Db::Sqlite(_) => migrator(|step| &step.sqlite),
        Db::Postgres(_) => migrator(|step| &step.postgres),
    }
}

/// Takes every step that the database has not.
pub(crate) async fn migrate(db: &Db) -> Result<(), MigrateError> {
    let migrator = migrator_for(db);
    on!(db, pool => migrator.run(pool).await)
}

/// Why steps are not taken back.
#[derive(Debug)]
pub(crate) enum NotReverted {
    /// So many records, contents, approvals or accounts would stay that nobody could read.
    Sealed(u64),
    Failed(MigrateError),
}

impl<E: Into<MigrateError>> From<E> for NotReverted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What is sealed or erased in the tables of the first step.
macro_rules! sealed {
    ($records:expr) => {
        concat!(
            "SELECT (",
            $records,
            ") + (SELECT COUNT(*) FROM blobs WHERE key_id IS NOT NULL) \
             + (SELECT COUNT(*) FROM approvals WHERE key_id IS NOT NULL)"
        )
    };
}
const SEALED: &str = sealed!("SELECT CAST(COALESCE(SUM(sealed), 0) AS BIGINT) FROM packs");
/// As it was before that step.
const SEALED_ROWS: &str = sealed!("SELECT COUNT(*) FROM records WHERE key_id IS NOT NULL");
const ACCOUNTS_SEALED: &str = "SELECT COUNT(*) FROM accounts WHERE key_id IS NOT NULL";

async fn count(db: &Db, sql: &'static str) -> Result<u64, sqlx::Error> {
    let (count,): (i64,) = on!(db, pool => sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(count.cast_unsigned())
}

/// Takes back the last `steps` that the database has.
pub(crate) async fn revert(db: &Db, steps: usize) -> Result<(), NotReverted> {
    let applied: Vec<i64> = status(db)
        .await?
        .iter()
        .rev()
        .filter(|step| step.applied)
        .map(|step| step.version)
        .collect();
    let target = applied.get(steps).copied().unwrap_or(0);
    // With the step that they came with, the tables go with what is in them; without, what is
    // sealed there would be unreadable.
    let sealed = if applied.contains(&PACKS) { SEALED } else { SEALED_ROWS };
    let guarded = [(SEALING, 1, sealed), (ADDRESSES, ACCOUNTS, ACCOUNTS_SEALED)];
    for (step, tables, sql) in guarded {
        if (tables..step).contains(&target) && applied.contains(&step) {
            let sealed = count(db, sql).await?;
            if sealed > 0 {
                return Err(NotReverted::Sealed(sealed));
            }
        }
    }
    let migrator = migrator_for(db);
    Ok(on!(db, pool => migrator.undo(pool, target).await)?)
}

/// Every step that this program or the database knows, in order. Changes nothing.
pub(crate) async fn status(db: &Db) -> Result<Vec<Status>, MigrateError> {
    let migrator = migrator_for(db);
    let table = match db {
        Db::Sqlite(_) => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Db::Postgres(_) => {
            "SELECT COUNT(*) FROM pg_tables \
             WHERE tablename = '_sqlx_migrations' AND schemaname = ANY (current_schemas(false))"
        }
    };
    let (tables,): (i64,) = on!(db, pool => sqlx::query_as(table).fetch_one(pool).await)?;
    let mut applied: Vec<(i64, String)> = Vec::new();
    if tables > 0 {
        let sql = "SELECT version, description FROM _sqlx_migrations ORDER BY version";
        applied = on!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)?;
    }
    let mut steps: Vec<Status> = STEPS
        .iter()
        .map(|step| Status {
            version: step.version,
            name: step.name.into(),
            applied: applied.iter().any(|(version, _)| *version == step.version),
            known: true,
        })
        .collect();
    for (version, name) in applied {
        if !migrator.version_exists(version) {
            steps.push(Status { version, name: name.into(), applied: true, known: false });
        }
    }
    Ok(steps)
}
