//! The statements of one group on PostgreSQL: a whole column in each parameter.

use sqlx::postgres::PgConnection;
use sqlx::query;

use crate::group::{Change, Group, Started};
use crate::pack::{self, Pack};
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::Sealed;

/// Writes what is in the group.
pub(super) async fn write(
    connection: &mut PgConnection,
    owner: Owner,
    group: &Group,
    sealed: &Sealed,
) -> Result<(), sqlx::Error> {
    contents(connection, group, sealed).await?;
    packs(connection, owner, &sealed.packs).await?;
    let mut started: Vec<(&Change, &Started)> = Vec::new();
    let mut changed: Vec<&Change> = Vec::new();
    for change in &group.changes {
        match &change.started {
            Some(start) => started.push((change, start)),
            None => changed.push(change),
        }
    }
    starts(connection, owner, &started).await?;
    changes(connection, owner, &changed).await?;
    decided(connection, group).await
}

/// The values of one column.
fn column<'a, T, V>(rows: &'a [T], value: impl FnMut(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// Whether none of the keys was erased since the group was sealed with them; none is until the
/// transaction ends.
pub(super) async fn has_keys(
    connection: &mut PgConnection,
    keys: &[i64],
) -> Result<bool, sqlx::Error> {
    if keys.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT id FROM subject_keys WHERE id = ANY ($1) AND wrapped IS NOT NULL FOR SHARE";
    let live = query(sql).bind(keys).fetch_all(connection).await?;
    Ok(live.len() == keys.len())
}

async fn contents(
    connection: &mut PgConnection,
    group: &Group,
    sealed: &Sealed,
) -> Result<(), sqlx::Error> {
    // One by one: content may be large, and a statement holds all of its own twice.
    let sql = "INSERT INTO blobs (tenant, subject, sha256, bytes, content, sealed, key_id) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    for (content, sealed) in sealed.of_contents(&group.contents) {
        let bytes = &content.stored.content[..];
        let statement = query(sql).bind(&*content.tenant).bind(&*content.subject);
        let statement =
            statement.bind(&content.sha256.0[..]).bind(rows::number(bytes.len() as u64));
        let statement = statement.bind(if sealed.is_some() { &[] } else { bytes });
        let statement = statement.bind(sealed.map(|(sealed, _)| &sealed[..]));
        statement.bind(sealed.map(|(_, key)| *key)).execute(&mut *connection).await?;
    }
    let sql = "INSERT INTO run_blobs (run_id, sha256, label) VALUES ($1, $2, $3) \
               ON CONFLICT (run_id, sha256) DO UPDATE SET label = excluded.label";
    for link in &group.links {
        let statement = query(sql).bind(&link.run.0.as_bytes()[..]).bind(&link.sha256.0[..]);
        statement.bind(&link.label).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn packs(
    connection: &mut PgConnection,
    owner: Owner,
    packs: &[Pack],
) -> Result<(), sqlx::Error> {
    if packs.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "INSERT INTO packs (",
        pack::written!(),
        ") SELECT $1, * FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BYTEA[], $5::BIGINT[], \
         $6::BIGINT[], $7::BIGINT[], $8::TEXT[], $9::BYTEA[], $10::BYTEA[])"
    );
    let statement = query(sql).bind(owner.chain);
    let statement = statement.bind(column(packs, |pack| rows::number(pack.seq)));
    let statement = statement.bind(column(packs, |pack| rows::number(pack.until)));
    let statement = statement.bind(column(packs, |pack| &pack.run.0.as_bytes()[..]));
    let statement = statement.bind(column(packs, |pack| rows::number(pack.number)));
    let statement = statement.bind(column(packs, |pack| pack.key_id));
    let statement = statement.bind(column(packs, |pack| rows::number(pack.sealed)));
    let statement = statement.bind(column(packs, |pack| &pack.meta[..]));
    let statement = statement.bind(column(packs, |pack| &pack.hashes[..]));
    let statement = statement.bind(column(packs, |pack| &pack.data[..]));
    statement.execute(connection).await.map(drop)
}

async fn starts(
    connection: &mut PgConnection,
    owner: Owner,
    runs: &[(&Change, &Started)],
) -> Result<(), sqlx::Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO runs (owner_chain, owner_epoch, run_id, status, wake_at, ended_at, \
               tenant, subject, agent, started_at) \
               SELECT CASE WHEN owned THEN $1 END, CASE WHEN owned THEN $2 END, run_id, status, \
               wake_at, ended_at, tenant, subject, agent, started_at FROM \
               UNNEST($3::BYTEA[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BOOLEAN[], \
               $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::BIGINT[]) \
               AS started (run_id, status, wake_at, ended_at, owned, tenant, subject, agent, \
               started_at) ON CONFLICT DO NOTHING";
    let statement = query(sql).bind(owner.chain).bind(owner.epoch);
    let statement = statement.bind(column(runs, |(change, _)| &change.run.0.as_bytes()[..]));
    let statement = statement.bind(column(runs, |(change, _)| change.status));
    let statement = statement.bind(column(runs, |(change, _)| change.wake_at));
    let statement = statement.bind(column(runs, |(change, _)| change.ended_at));
    let statement = statement.bind(column(runs, |(change, _)| change.owned));
    let statement = statement.bind(column(runs, |(_, started)| &*started.tenant));
    let statement = statement.bind(column(runs, |(_, started)| &*started.subject));
    let statement = statement.bind(column(runs, |(_, started)| &*started.agent));
    let statement = statement.bind(column(runs, |(_, started)| started.at));
    statement.execute(connection).await.map(drop)
}

async fn changes(
    connection: &mut PgConnection,
    owner: Owner,
    runs: &[&Change],
) -> Result<(), sqlx::Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE runs SET status = changed.status, wake_at = changed.wake_at, \
               ended_at = changed.ended_at, owner_chain = CASE WHEN changed.owned THEN $1 END, \
               owner_epoch = CASE WHEN changed.owned THEN $2 END FROM \
               UNNEST($3::BYTEA[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[], $7::BOOLEAN[]) \
               AS changed (run_id, status, wake_at, ended_at, owned) \
               WHERE runs.run_id = changed.run_id";
    let statement = query(sql).bind(owner.chain).bind(owner.epoch);
    let statement = statement.bind(column(runs, |change| &change.run.0.as_bytes()[..]));
    let statement = statement.bind(column(runs, |change| change.status));
    let statement = statement.bind(column(runs, |change| change.wake_at));
    let statement = statement.bind(column(runs, |change| change.ended_at));
    let statement = statement.bind(column(runs, |change| change.owned));
    statement.execute(connection).await.map(drop)
}

/// Makes runs due whose approvals were decided before they were parked.
async fn decided(connection: &mut PgConnection, group: &Group) -> Result<(), sqlx::Error> {
    let sql = "UPDATE runs SET wake_at = 0 WHERE run_id = $1 AND EXISTS \
               (SELECT 1 FROM approvals WHERE id = ANY ($2) AND status <> 'pending')";
    for change in group.changes.iter().filter(|change| !change.awaits.is_empty()) {
        let awaited = column(&change.awaits, |approval| &approval.0.as_bytes()[..]);
        let statement = query(sql).bind(&change.run.0.as_bytes()[..]).bind(awaited);
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}
