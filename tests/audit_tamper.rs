//! A real database, tampered with in every way that its keeper could: each is found, and where.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use genie_core::journal::chain::{Hash, seal};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};

use crate::program::{Ended, Files, genie_in};
use crate::rows;
use crate::unsealed::unseal;

mod together;

/// A data directory with three runs, each of which was signed at its end, kept in the clear as it
/// was before there was sealing: so that whoever tampers can do all that there is to do.
fn original() -> &'static Path {
    static ORIGINAL: OnceLock<(Files, PathBuf)> = OnceLock::new();
    let (_, data) = ORIGINAL.get_or_init(|| {
        let files = Files::new();
        let data = files.path("data");
        for _ in 0..3 {
            assert_eq!(genie_in(&data, &["run", "--quiet"]).code, 0);
        }
        unseal(&data);
        (files, data)
    });
    data
}

/// A copy of the database to tamper with.
struct Copy {
    files: Files,
    data: PathBuf,
}

impl Copy {
    fn new() -> Self {
        Self::of(original())
    }

    fn of(other: &Path) -> Self {
        let files = Files::new();
        let data = files.path("copy");
        fs::create_dir(&data).unwrap();
        for file in fs::read_dir(other).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), data.join(file.file_name())).unwrap();
        }
        Self { files, data }
    }

    fn genie(&self, arguments: &[&str]) -> Ended {
        genie_in(&self.data, arguments)
    }

    /// Does something with the database, behind the program's back, with a row for each record.
    fn with<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        self.connected(async |connection| {
            rows::apart(connection).await;
            let done = work(connection).await;
            rows::together(connection).await;
            done
        })
    }

    fn connected<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(self.data.join("genie.db"));
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let done = work(&mut connection).await;
            connection.close().await.unwrap();
            done
        })
    }

    fn edit(&self, sql: &str) {
        self.with(async |connection| {
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::raw_sql(sql).execute(connection).await.unwrap();
        });
    }

    /// The last record, by number and hash.
    fn last(&self) -> (u64, Hash) {
        self.with(async |connection| {
            let sql = "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1";
            let row = sqlx::query(sql).fetch_one(connection).await.unwrap();
            let hash: Vec<u8> = row.get(1);
            (row.get::<i64, _>(0).cast_unsigned(), Hash(hash.try_into().unwrap()))
        })
    }

    /// The last record of each run.
    fn ends(&self) -> Vec<i64> {
        self.with(async |connection| {
            let sql =
                "SELECT seq FROM records WHERE body LIKE '{\"type\":\"run_end\"%' ORDER BY seq";
            let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        })
    }

    /// Changes the body of a record, and makes every hash from there on anew.
    fn rewrite(&self, from: i64) {
        self.with(async |connection| {
            let sql = "UPDATE records SET body = replace(body, '\"type\":', '\"was\":1,\"type\":') \
                       WHERE seq = $1";
            sqlx::query(sql).bind(from).execute(&mut *connection).await.unwrap();
            let sql = "SELECT seq, hash, body FROM records ORDER BY seq";
            let rows = sqlx::query(sql).fetch_all(&mut *connection).await.unwrap();
            let (mut prev, mut last) = (Hash::ZERO, 0);
            for row in rows {
                let (seq, body): (i64, String) = (row.get(0), row.get(2));
                prev = seal(seq.cast_unsigned(), prev, Hash::of(body.as_bytes()));
                last = seq;
                let sql = "UPDATE records SET hash = $1 WHERE seq = $2";
                let query = sqlx::query(sql).bind(&prev.0[..]).bind(seq);
                query.execute(&mut *connection).await.unwrap();
            }
            let sql = "UPDATE chains SET head_seq = $1, head_hash = $2";
            let query = sqlx::query(sql).bind(last).bind(&prev.0[..]);
            query.execute(&mut *connection).await.unwrap();
        });
    }

    /// Moves the end of the chain to its last record.
    fn fix_head(&self) {
        let (seq, hash) = self.last();
        self.with(async |connection| {
            let sql = "UPDATE chains SET head_seq = $1, head_hash = $2";
            let query = sqlx::query(sql).bind(seq.cast_signed()).bind(&hash.0[..]);
            query.execute(connection).await.unwrap();
        });
    }

    #[track_caller]
    fn found(&self, arguments: &[&str], fault: &str, record: Option<u64>) {
        let all: Vec<&str> =
            ["audit", "verify", "--json"].iter().chain(arguments).copied().collect();
        let ended = self.genie(&all);
        let report = ended.json();
        assert_eq!(ended.code, 1, "{report:#}");
        assert_eq!(report["verified"], false);
        assert_eq!(report["fault"], fault, "{report:#}");
        assert_eq!(report["record"].as_u64(), record, "{report:#}");
        // In words, too, with what to do.
        let all: Vec<&str> = ["audit", "verify"].iter().chain(arguments).copied().collect();
        let said = self.genie(&all);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""));
        let complaint = said.complaint();
        assert!(complaint.contains("genie.db: ") && complaint.contains("hint: "), "{complaint}");
        if let Some(record) = record {
            assert!(complaint.contains(&format!("genie.db: record {record} ")), "{complaint}");
        }
    }
}

/// Edits a copy and says what is found.
#[track_caller]
fn check(sql: &str, fault: &str, record: Option<u64>) {
    let copy = Copy::new();
    copy.edit(sql);
    copy.found(&[], fault, record);
}

#[test]
fn what_nobody_has_touched_verifies() {
    let copy = Copy::new();
    let report = copy.genie(&["audit", "verify", "--json"]).json();
    assert_eq!(report["verified"], true);
    assert_eq!((&report["runs"], &report["chains"][0]["checkpoints"]), (&3.into(), &3.into()));
    assert_eq!(report["records"], report["chains"][0]["covered"]);
}

#[test]
fn an_edited_record_is_found() {
    check(
        "UPDATE records SET body = replace(body, '\"type\"', '\"was\":1,\"type\"') WHERE seq = 57",
        "edited",
        Some(57),
    );
    // In the first and in the last record, too.
    check(
        "UPDATE records SET body = replace(body, '\"type\"', '\"was\":1,\"type\"') WHERE seq = 1",
        "edited",
        Some(1),
    );
    let (last, _) = Copy::new().last();
    check(
        "UPDATE records SET body = replace(body, '\"records\":', '\"records\":1') \
         WHERE seq = (SELECT MAX(seq) FROM records)",
        "edited",
        Some(last),
    );
}

#[test]
fn an_edited_record_with_a_hash_of_its_own_is_found_by_what_was_signed() {
    let copy = Copy::new();
    copy.with(async |connection| {
        let sql = "SELECT seq, hash, body FROM records WHERE seq IN (56, 57) ORDER BY seq";
        let rows = sqlx::query(sql).fetch_all(&mut *connection).await.unwrap();
        let prev: Vec<u8> = rows[0].get(1);
        let body = rows[1].get::<String, _>(2).replace("\"type\"", "\"was\":1,\"type\"");
        let hash = seal(57, Hash(prev.try_into().unwrap()), Hash::of(body.as_bytes()));
        let sql = "UPDATE records SET hash = $1, body = $2 WHERE seq = 57";
        let query = sqlx::query(sql).bind(&hash.0[..]).bind(body);
        query.execute(connection).await.unwrap();
    });
    copy.found(&[], "edited", Some(57));
}

#[test]
fn a_changed_hash_is_told_from_a_changed_record() {
    check("UPDATE records SET hash = zeroblob(32) WHERE seq = 57", "rehashed", Some(57));
    check("UPDATE records SET hash = x'00' WHERE seq = 57", "rehashed", Some(57));
}

#[test]
fn an_inserted_record_is_found() {
    let copy = Copy::new();
    // Makes room behind record 56, from the end on since numbers are unique.
    copy.edit(
        "UPDATE records SET seq = -seq - 1 WHERE seq > 56; UPDATE records SET seq = -seq \
         WHERE seq < 0; INSERT INTO records (seq, chain, run_id, number, hash, body) \
         SELECT 57, chain, run_id, number, hash, body FROM records WHERE seq = 30; \
         UPDATE chains SET head_seq = head_seq + 1",
    );
    copy.found(&[], "inserted", Some(57));
    // One that was never written, with a hash out of thin air.
    copy.edit(
        "UPDATE records SET body = replace(body, '\"type\"', '\"was\":1,\"type\"'), \
         hash = randomblob(32) WHERE seq = 57",
    );
    copy.found(&[], "inserted", Some(57));
}

#[test]
fn a_record_behind_the_end_is_found() {
    let (last, _) = Copy::new().last();
    check(
        "INSERT INTO records (seq, chain, run_id, number, hash, body) \
         SELECT (SELECT MAX(seq) + 1 FROM records), chain, run_id, number, hash, body \
         FROM records WHERE seq = 30",
        "inserted",
        Some(last + 1),
    );
}

#[test]
fn a_deleted_record_is_found() {
    check("DELETE FROM records WHERE seq = 57", "deleted", Some(57));
    check("DELETE FROM records WHERE seq IN (1, 2)", "deleted", Some(1));
    // With all behind it moved up.
    check(
        "DELETE FROM records WHERE seq = 57; UPDATE records SET seq = -seq WHERE seq > 57; \
         UPDATE records SET seq = -seq - 1 WHERE seq < 0; \
         UPDATE chains SET head_seq = head_seq - 1",
        "deleted",
        Some(57),
    );
}

#[test]
fn records_that_changed_places_are_found() {
    let swap = "UPDATE records SET seq = -1 WHERE seq = 57; \
                UPDATE records SET seq = 57 WHERE seq = 58; \
                UPDATE records SET seq = 58 WHERE seq = -1";
    check(swap, "reordered", Some(57));
    let swap = "UPDATE records SET seq = -1 WHERE seq = 57; \
                UPDATE records SET seq = 57 WHERE seq = 157; \
                UPDATE records SET seq = 157 WHERE seq = -1";
    check(swap, "reordered", Some(57));
}

#[test]
fn a_log_that_was_cut_off_is_found_however_much_was_made_to_fit() {
    check("DELETE FROM records WHERE seq > 150", "truncated", Some(151));
    // The end of the chain moved, the table of runs made to fit: the checkpoints know better.
    let copy = Copy::new();
    let end = copy.ends()[1];
    let missing = Some(end.cast_unsigned() + 1);
    copy.edit(&format!("DELETE FROM records WHERE seq > {end}"));
    copy.fix_head();
    copy.edit("DELETE FROM runs WHERE run_id NOT IN (SELECT run_id FROM records)");
    copy.found(&[], "truncated", missing);
    // Without them it fits, which only a checkpoint that was kept elsewhere tells.
    let kept = copy.files.write("kept", Copy::new().genie(&["audit", "checkpoint"]).stdout);
    copy.edit(&format!("DELETE FROM checkpoints WHERE size > {end}"));
    assert_eq!(copy.genie(&["audit", "verify"]).code, 0);
    copy.found(&["--checkpoint", &kept], "truncated", missing);
    // In the middle of a run the run itself is not whole: its table says that it has ended.
    let copy = Copy::new();
    copy.edit("DELETE FROM records WHERE seq > 150; DELETE FROM checkpoints WHERE size > 150");
    copy.fix_head();
    copy.found(&[], "unfounded", None);
}

#[test]
fn two_continuations_of_one_log_are_found_against_what_the_other_has_signed() {
    let (one, other) = (Copy::new(), Copy::new());
    let (common, _) = one.last();
    // The longer one, so that it is not merely cut off.
    assert_eq!(other.genie(&["run", "--quiet"]).code, 0);
    for copy in [&one, &other] {
        assert_eq!(copy.genie(&["run", "--quiet"]).code, 0);
        assert_eq!(copy.genie(&["audit", "verify"]).code, 0);
    }
    let kept = one.files.write("kept", one.genie(&["audit", "checkpoint"]).stdout);
    let refused = other.genie(&["audit", "consistency", &kept]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    // The other one has tiles of its own, so all that is known is what both have signed.
    other.found(&["--checkpoint", &kept], "forked", Some(common + 1));
    assert_eq!(one.genie(&["audit", "verify", "--checkpoint", &kept]).code, 0);
}

#[test]
fn a_rewrite_with_all_hashes_made_anew_is_found_at_the_first_changed_record() {
    let copy = Copy::new();
    // A record of the second run.
    let signed = copy.ends()[0];
    let changed = signed + 6;
    copy.rewrite(changed);
    copy.found(&[], "forked", Some(changed.cast_unsigned()));
    // Without the tiles it is known only between which checkpoints.
    copy.edit("DELETE FROM tiles");
    copy.found(&[], "forked", Some(signed.cast_unsigned() + 1));
    copy.edit("DELETE FROM checkpoints");
    assert_eq!(copy.genie(&["audit", "verify"]).code, 0);
    let intact = Copy::new();
    let kept = copy.files.write("kept", intact.genie(&["audit", "checkpoint"]).stdout);
    copy.found(&["--checkpoint", &kept], "replaced", Some(1));
    // Nothing more is signed on top of what no longer leads to what was signed.
    let other = Copy::new();
    other.rewrite(changed);
    let refused = other.genie(&["run", "--quiet"]);
    assert!(refused.stderr.contains("no longer leads to its signed checkpoint"), "{refused:?}");
}

#[test]
fn another_log_altogether_is_found_against_the_kept_checkpoint_and_key() {
    let (ours, theirs) = (Copy::new(), Files::new());
    let other = theirs.path("data");
    assert_eq!(genie_in(&other, &["run", "--quiet"]).code, 0);
    let kept = ours.files.write("kept", ours.genie(&["audit", "checkpoint"]).stdout);
    let key = ours.genie(&["audit", "key"]).stdout;
    let key = key.trim();
    // All of the data directory is another one's, its key and list of keys included.
    let replaced = Copy::of(&other);
    assert_eq!(replaced.genie(&["audit", "verify"]).code, 0);
    replaced.found(&["--key", key], "unsigned", None);
    replaced.edit("DELETE FROM checkpoints");
    let (last, _) = replaced.last();
    replaced.found(&["--key", key, "--checkpoint", &kept], "truncated", Some(last + 1));
    // As long as ours, too.
    for _ in 0..3 {
        assert_eq!(replaced.genie(&["run", "--quiet"]).code, 0);
    }
    replaced.edit("DELETE FROM checkpoints");
    replaced.found(&["--key", key, "--checkpoint", &kept], "replaced", Some(1));
    // Without the key at hand, the checkpoint itself is nobody's word here.
    let ended = replaced.genie(&["audit", "verify", "--checkpoint", &kept]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.complaint().contains("no trusted key has signed it"), "{}", ended.stderr);
}

#[test]
fn a_forged_checkpoint_is_found() {
    check(
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints ORDER BY size LIMIT 1)",
        "unsigned",
        None,
    );
    check("UPDATE checkpoints SET note = replace(note, 'genie-', 'Genie-')", "unsigned", None);
}

#[test]
fn swapped_and_changed_content_is_found() {
    let swap = "UPDATE blobs SET content = (SELECT other.content FROM blobs other \
                WHERE other.sha256 <> blobs.sha256 ORDER BY other.sha256 DESC LIMIT 1)";
    check(swap, "swapped", None);
    check("UPDATE blobs SET content = x'00'", "swapped", None);
    // Content that was erased is no fault: its record still names what it was.
    let copy = Copy::new();
    copy.edit("DELETE FROM blobs");
    assert_eq!(copy.genie(&["audit", "verify"]).code, 0);
}

#[test]
fn what_stands_beside_the_records_must_follow_from_them() {
    for sql in [
        "UPDATE runs SET status = 'denied'",
        "UPDATE runs SET tenant = 'acme'",
        "UPDATE runs SET subject = 'mallory'",
        "UPDATE runs SET agent = 'reporter'",
        "UPDATE runs SET started_at = started_at + 1",
        "UPDATE runs SET ended_at = NULL",
        "DELETE FROM runs",
        "INSERT INTO runs SELECT zeroblob(16), tenant, subject, agent, status, started_at, \
         ended_at, wake_at, owner_chain, owner_epoch, cancel_reason \
         FROM runs LIMIT 1",
    ] {
        check(sql, "unfounded", None);
    }
    check("UPDATE records SET run_id = zeroblob(16) WHERE seq = 57", "unfounded", Some(57));
    check("UPDATE records SET number = number + 1 WHERE seq = 57", "unfounded", Some(57));
    // The rows of two runs, exchanged.
    let copy = Copy::new();
    copy.edit(
        "UPDATE runs SET run_id = zeroblob(16) WHERE run_id = (SELECT MIN(run_id) FROM runs); \
         UPDATE runs SET run_id = (SELECT MIN(run_id) FROM records) \
         WHERE run_id = (SELECT MAX(run_id) FROM runs); \
         UPDATE runs SET run_id = (SELECT MAX(run_id) FROM records) \
         WHERE run_id = zeroblob(16)",
    );
    copy.found(&[], "unfounded", None);
}

#[test]
fn a_label_that_was_lowered_is_found() {
    for (label, what) in [
        // Of what a step stored, and of what came with the request.
        (
            "'{\"classification\":\"public\"}'",
            "sha256 IN (SELECT unhex(body ->> 'blob') FROM records)",
        ),
        (
            "'{}'",
            "sha256 NOT IN (SELECT unhex(body ->> 'blob') FROM records \
          WHERE body ->> 'call' = 'store')",
        ),
        ("replace(label, 'personal', 'other')", "label LIKE '%personal%'"),
        ("replace(label, '\"in\"', '\"eu\"')", "label LIKE '%\"in\"%'"),
        ("'none'", "true"),
    ] {
        check(&format!("UPDATE run_blobs SET label = {label} WHERE {what}"), "unfounded", None);
    }
}

/// A data directory with one payment that was approved and one that waits, in the clear as well.
fn approvals() -> &'static Path {
    static APPROVALS: OnceLock<(Files, PathBuf)> = OnceLock::new();
    let (_, data) = APPROVALS.get_or_init(|| {
        let files = Files::new();
        let data = files.path("data");
        let waits = || {
            assert_eq!(genie_in(&data, &["run", "--demo", "approval", "--quiet"]).code, 3);
            let list = genie_in(&data, &["approvals", "list", "--json"]).json();
            let list = list.as_array().or_else(|| list["approvals"].as_array()).unwrap().clone();
            list[0]["id"].as_str().unwrap().to_owned()
        };
        let first = waits();
        assert_eq!(genie_in(&data, &["approvals", "approve", &first, "--as", "asha"]).code, 0);
        waits();
        unseal(&data);
        (files, data)
    });
    data
}

#[test]
fn an_approval_that_is_not_as_it_was_asked_for_or_decided_is_found() {
    let copy = Copy::of(approvals());
    assert_eq!(copy.genie(&["audit", "verify"]).code, 0, "what nobody has touched");
    for sql in [
        // What a human sees.
        "UPDATE approvals SET document = json_set(document, '$.arguments.amount_minor', 1)",
        "UPDATE approvals SET document = json_set(document, '$.requester', 'mallory')",
        "UPDATE approvals SET document = json_set(document, '$.to', 'tool:another')",
        "UPDATE approvals SET document = json_set(document, '$.reason', 'it is all right')",
        "UPDATE approvals SET document = json_set(document, '$.requirement.requester_may', \
         json('true'))",
        "UPDATE approvals SET document = json_set(document, '$.subject', 'unknown_effect')",
        "UPDATE approvals SET document = json_set(document, '$.digest', hex(zeroblob(32)))",
        // Who decided, and what.
        "UPDATE approvals SET document = json_set(document, '$.decisions[0].by', 'mallory') \
         WHERE status = 'approved'",
        "UPDATE approvals SET status = 'rejected', document = json_set(document, '$.status', \
         'rejected') WHERE status = 'approved'",
        "UPDATE approvals SET status = 'approved', document = json_set(document, '$.status', \
         'approved') WHERE status = 'pending'",
        // The row.
        "UPDATE approvals SET status = 'approved' WHERE status = 'pending'",
        "UPDATE approvals SET tenant = 'another'",
        "UPDATE approvals SET revision = revision + 1",
        "UPDATE approvals SET run_id = (SELECT MAX(run_id) FROM runs) WHERE status = 'approved'",
        "UPDATE approvals SET id = randomblob(16) WHERE status = 'pending'",
        "UPDATE approvals SET document = '{}'",
        "DELETE FROM approvals WHERE status = 'approved'",
        "DELETE FROM approvals WHERE status = 'pending'",
    ] {
        let copy = Copy::of(approvals());
        copy.edit(sql);
        copy.found(&[], "unfounded", None);
    }
}
