//! A database as it was before there was sealing: whoever has the whole of it can forge every text.

use std::path::Path;

use genie_core::journal::restore::Kept;
use genie_store::{KeySource, Location, Mode, Options, RawContent};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::rows;

/// Puts texts, contents and approvals back where they are kept in the clear.
pub(crate) fn unseal(data: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(data.join("genie.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let key = KeySource::File(data.join("sealing.key"));
        let options = Options { sealing: Some(key), ..Options::default() };
        let place = Location::Sqlite(data.to_owned());
        let store = genie_store::open(&place, Mode::Look, options).await.unwrap();
        let records = store.checkpoints.raw(1, 0, i64::MAX.cast_unsigned()).await.unwrap();
        rows::apart(&mut connection).await;
        for record in records {
            let Kept::Text(body) = record.body else { continue };
            let sql = "UPDATE records SET body = $1, kind = NULL, body_sha256 = NULL, \
                       sealed = NULL, key_id = NULL WHERE seq = $2";
            let query = sqlx::query(sql).bind(body).bind(record.seq.cast_signed());
            query.execute(&mut connection).await.unwrap();
        }
        rows::together(&mut connection).await;
        for key in store.checkpoints.blob_keys(None, 1_000).await.unwrap() {
            let content = store.checkpoints.blob(&key).await.unwrap();
            let Some(RawContent::Bytes(content)) = content else { continue };
            let sql = "UPDATE blobs SET content = $1, sealed = NULL, key_id = NULL \
                       WHERE sha256 = $2";
            let query = sqlx::query(sql).bind(content).bind(key.sha256);
            query.execute(&mut connection).await.unwrap();
        }
        for approval in store.checkpoints.raw_approvals(&[], 1_000).await.unwrap() {
            let RawContent::Bytes(document) = approval.document else { continue };
            let sql = "UPDATE approvals SET document = $1, sealed = NULL, key_id = NULL \
                       WHERE id = $2";
            let query = sqlx::query(sql).bind(String::from_utf8(document).unwrap());
            query.bind(approval.id).execute(&mut connection).await.unwrap();
        }
        store.close().await.unwrap();
        connection.close().await.unwrap();
    });
}
