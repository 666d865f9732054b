-- The records that one transaction writes of one run are one row.

CREATE TABLE packs (
    -- The number of the last of them in the chain.
    seq    INTEGER PRIMARY KEY,
    chain  INTEGER NOT NULL CHECK (chain = 1),
    -- That of the last record which was written at once with them: the rows before have none beyond
    -- it, those behind it none before.
    until  INTEGER NOT NULL,
    run_id BLOB    NOT NULL,
    -- Position of the last of them within the run, over all chains.
    number INTEGER NOT NULL,
    -- What those that are sealed are sealed with; that of an erased key, too, if they were in the
    -- clear when their subject was erased.
    key_id INTEGER,
    -- How many are sealed or erased.
    sealed INTEGER NOT NULL,
    -- JSON, of each record: its number in the chain, the bytes of its text in `data`, 1 if that is
    -- sealed or erased or else 0, the type of its entry.
    meta   TEXT    NOT NULL,
    -- 96 bytes of each record: the hash of the record before, its own, and SHA-256 of its text;
    -- zeros in place of the last if the text is in the clear.
    hashes BLOB    NOT NULL,
    -- The texts, one behind the other: JSON, exactly as hashed, or what it was sealed as.
    data   BLOB    NOT NULL
) STRICT;

INSERT INTO packs (seq, chain, until, run_id, number, key_id, sealed, meta, hashes, data)
SELECT seq, chain, seq, run_id, number, key_id, hidden,
       json_array(json_array(seq, octet_length(data), hidden, type)),
       CAST(substr(CAST(COALESCE(before, x'') || zeroblob(32) AS BLOB), 1, 32)
            || substr(CAST(hash || zeroblob(32) AS BLOB), 1, 32)
            || substr(CAST(COALESCE(sha256, x'') || zeroblob(32) AS BLOB), 1, 32) AS BLOB),
       data
FROM (
    SELECT r.seq, r.chain, r.run_id, r.number, r.key_id, r.hash,
           (SELECT p.hash FROM records p WHERE p.seq = r.seq - 1) AS before,
           r.key_id IS NOT NULL OR r.sealed IS NOT NULL AS hidden,
           CASE WHEN r.key_id IS NOT NULL OR r.sealed IS NOT NULL THEN r.body_sha256 END AS sha256,
           CASE WHEN r.key_id IS NOT NULL OR r.sealed IS NOT NULL THEN r.kind
                WHEN r.body LIKE '{"type":"%'
                THEN substr(r.body, 10, instr(substr(r.body, 10), '"') - 1) END AS type,
           CAST(r.body || COALESCE(r.sealed, x'') AS BLOB) AS data
    FROM records r
);

CREATE INDEX packs_of_run ON packs (run_id, number);

DROP TABLE records;
