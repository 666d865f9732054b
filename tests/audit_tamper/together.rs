//! The rows as they lie there, with many records of a run in one, sealed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Copy;
use crate::program::{Files, genie_in};

impl Copy {
    /// Changes the rows as they lie there, with many records in one.
    fn change(&self, sql: &str) {
        self.connected(async |connection| {
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::raw_sql(sql).execute(connection).await.unwrap();
        });
    }

    /// The first and the last record that lie in a row, and the last of all.
    fn row(&self, seq: &str) -> (u64, u64, u64) {
        self.connected(async |connection| {
            let sql = format!(
                "SELECT meta ->> '$[0][0]', seq, (SELECT MAX(seq) FROM packs) FROM packs \
                 WHERE seq = {seq}"
            );
            let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(connection).await;
            let (first, last, end): (i64, i64, i64) = found.unwrap();
            (first.cast_unsigned(), last.cast_unsigned(), end.cast_unsigned())
        })
    }
}

/// Where the records of a run lie together: as they are written, sealed.
fn together() -> &'static Path {
    static TOGETHER: OnceLock<(Files, PathBuf)> = OnceLock::new();
    let (_, data) = TOGETHER.get_or_init(|| {
        let files = Files::new();
        let data = files.path("data");
        for _ in 0..2 {
            assert_eq!(genie_in(&data, &["run", "--quiet"]).code, 0);
        }
        (files, data)
    });
    data
}

#[test]
fn a_row_of_many_records_that_was_changed_is_found() {
    let row = "(SELECT MIN(seq) FROM packs WHERE seq >= 20)";
    let (first, last, end) = Copy::of(together()).row(row);
    assert!(first < last && last < end, "{first} to {last} of {end} lie together");
    let next = format!("(SELECT MIN(seq) FROM packs WHERE seq > {last})");
    let byte = "CAST(substr(data, 1, 39) || CASE WHEN substr(data, 40, 1) = x'00' THEN x'01' \
                ELSE x'00' END || substr(data, 41) AS BLOB)";
    let hash = |at: u64| {
        let (before, behind) = (96 * at, 96 * at + 33);
        format!(
            "CAST(substr(hashes, 1, {before}) || zeroblob(32) || substr(hashes, {behind}) AS BLOB)"
        )
    };
    for (change, fault, record) in [
        (format!("data = {byte}"), "edited", first),
        ("meta = '[]'".to_owned(), "edited", first),
        ("hashes = zeroblob(96)".to_owned(), "edited", first),
        ("data = substr(data, 2)".to_owned(), "edited", first),
        // The hash of the record before beside the first record, and beside the next.
        (format!("hashes = {}", hash(0)), "unfounded", first),
        (format!("hashes = {}", hash(1)), "unfounded", first + 1),
        ("number = number + 1".to_owned(), "unfounded", first),
        ("run_id = zeroblob(16)".to_owned(), "edited", first),
        ("key_id = NULL".to_owned(), "edited", first),
        ("seq = seq - 1".to_owned(), "edited", first),
    ] {
        let copy = Copy::of(together());
        copy.change(&format!("UPDATE packs SET {change} WHERE seq = {row}"));
        copy.found(&[], fault, Some(record));
    }
    for (sql, fault, record) in [
        (format!("DELETE FROM packs WHERE seq = {row}"), "deleted", first),
        (format!("DELETE FROM packs WHERE seq > {last}"), "truncated", last + 1),
        // One record that is there once more, under a number of its own.
        (
            format!(
                "INSERT INTO packs SELECT seq - 1, chain, until, run_id, number - 1, key_id, \
                 sealed, json_array(json_array(seq - 1, 1, 1, 'step')), substr(hashes, 1, 96), \
                 substr(data, 1, 1) FROM packs WHERE seq = {row}"
            ),
            "inserted",
            last - 1,
        ),
        (
            format!(
                "UPDATE packs SET data = (SELECT data FROM packs WHERE seq = {next}), \
                 meta = (SELECT meta FROM packs WHERE seq = {next}) WHERE seq = {row}"
            ),
            "edited",
            first,
        ),
    ] {
        let copy = Copy::of(together());
        copy.change(&sql);
        copy.found(&[], fault, Some(record));
    }
    // How far the others reach that were written with them is no evidence: all is found without.
    let copy = Copy::of(together());
    copy.change("UPDATE packs SET until = 0");
    assert_eq!(copy.genie(&["audit", "verify"]).code, 0);
}
