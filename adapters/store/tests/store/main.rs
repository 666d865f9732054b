//! One contract for every store: in memory, on SQLite and on PostgreSQL; then what only databases
//! can do wrong.
//!
//! The PostgreSQL tests need `GENIE_TEST_POSTGRES_URL`; each makes a schema of its own there.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

mod accounts;
mod approvals;
mod attempts;
mod blobs;
mod budgets;
mod documents;
mod erase;
mod faults;
mod identity;
mod journal;
mod ownership;
mod packs;
mod place;
mod rotate;
mod runs;
mod scribe;
mod sealing;
mod tables;
mod tenants;
mod trail;

/// Runs each of the functions, which take a [`place::Place`], on both databases.
macro_rules! on_each_database {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&crate::place::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs PostgreSQL: scripts/test starts one"]
            async fn $name() {
                let place = crate::place::Place::postgres().await;
                super::$name(&place).await;
                place.remove().await;
            })*
        }
    };
}
pub(crate) use on_each_database;
