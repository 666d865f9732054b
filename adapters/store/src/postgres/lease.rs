//! Who owns which chain: a lease by the clock of the database, so that a process whose clock jumps
//! harms nobody, and an epoch that refuses a former owner.

use std::sync::Arc;
use std::time::Duration;

use genie_core::journal::chain::{Hash, Head};
use sqlx::postgres::PgPool;

use crate::pool::Owner;
use crate::queue::Queue;
use crate::rows;

/// Takes a chain that nobody owns, or begins one.
pub(crate) async fn own(
    pool: &PgPool,
    node: &str,
    lease: Duration,
) -> Result<(Owner, Head), sqlx::Error> {
    let take = "UPDATE chains SET node = $1, epoch = epoch + 1, \
                lease_until = now() + make_interval(secs => $2) \
                WHERE id = (SELECT id FROM chains WHERE lease_until IS NULL OR lease_until < now() \
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) \
                RETURNING id, epoch, head_seq, head_hash";
    let query = sqlx::query_as(take).bind(node).bind(lease.as_secs_f64());
    let taken: Option<(i64, i64, i64, Vec<u8>)> = query.fetch_optional(pool).await?;
    let (chain, epoch, seq, hash) = if let Some(taken) = taken {
        taken
    } else {
        let begin = "INSERT INTO chains (node, epoch, lease_until, head_seq, head_hash) \
                     VALUES ($1, 1, now() + make_interval(secs => $2), 0, $3) \
                     RETURNING id, epoch, head_seq, head_hash";
        let query = sqlx::query_as(begin).bind(node).bind(lease.as_secs_f64());
        query.bind(&Hash::ZERO.0[..]).fetch_one(pool).await?
    };
    Ok((Owner { chain, epoch }, rows::head(seq, &hash)?))
}

/// Renews the lease for ever; a process that has lost its chain is told so even if it has nothing
/// to write.
pub(crate) async fn heartbeat(
    pool: PgPool,
    owner: Owner,
    queue: Arc<Queue>,
    (lease, every): (Duration, Duration),
) {
    let sql = "UPDATE chains SET lease_until = now() + make_interval(secs => $1) \
               WHERE id = $2 AND epoch = $3";
    while !queue.is_shut() {
        tokio::time::sleep(every).await;
        let query = sqlx::query(sql).bind(lease.as_secs_f64());
        match query.bind(owner.chain).bind(owner.epoch).execute(&pool).await {
            Ok(done) if done.rows_affected() == 1 => {}
            Ok(_) => queue.shut(super::lost(owner)),
            Err(error) => tracing::warn!(%error, "the lease of the journal was not renewed"),
        }
    }
}

/// Fences every other process whose lease has ended: from here on it cannot write, so that its
/// runs may be taken.
pub(crate) async fn fence_the_dead(pool: &PgPool, owner: Owner) -> Result<(), sqlx::Error> {
    let sql = "UPDATE chains SET epoch = epoch + 1, lease_until = NULL \
               WHERE lease_until < now() AND id <> $1";
    sqlx::query(sql).bind(owner.chain).execute(pool).await.map(drop)
}

/// Lets go of the chain and of every run on it.
pub(crate) async fn release(pool: &PgPool, owner: Owner) -> Result<(), sqlx::Error> {
    let sql =
        "UPDATE chains SET epoch = epoch + 1, lease_until = NULL WHERE id = $1 AND epoch = $2";
    sqlx::query(sql).bind(owner.chain).bind(owner.epoch).execute(pool).await.map(drop)
}
