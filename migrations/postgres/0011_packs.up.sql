-- The records that one transaction writes of one run are one row.

CREATE TABLE packs (
    chain  BIGINT NOT NULL,
    -- The number of the last of them in the chain.
    seq    BIGINT NOT NULL,
    -- That of the last record which was written at once with them: the rows before have none beyond
    -- it, those behind it none before.
    until  BIGINT NOT NULL,
    run_id BYTEA  NOT NULL,
    -- Position of the last of them within the run, over all chains.
    number BIGINT NOT NULL,
    -- What those that are sealed are sealed with; that of an erased key, too, if they were in the
    -- clear when their subject was erased.
    key_id BIGINT,
    -- How many are sealed or erased.
    sealed BIGINT NOT NULL,
    -- JSON, of each record: its number in the chain, the bytes of its text in `data`, 1 if that is
    -- sealed or erased or else 0, the type of its entry.
    meta   TEXT   NOT NULL,
    -- 96 bytes of each record: the hash of the record before, its own, and SHA-256 of its text;
    -- zeros in place of the last if the text is in the clear.
    hashes BYTEA  NOT NULL,
    -- The texts, one behind the other: JSON, exactly as hashed, or what it was sealed as.
    data   BYTEA  NOT NULL
);

-- Neither hashes nor what is sealed get smaller by compression.
ALTER TABLE packs ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE packs ALTER COLUMN data SET STORAGE EXTERNAL;

INSERT INTO packs (chain, seq, until, run_id, number, key_id, sealed, meta, hashes, data)
SELECT chain, seq, seq, run_id, number, key_id, hidden,
       CAST(json_build_array(json_build_array(seq, octet_length(data), hidden, type)) AS TEXT),
       substr(COALESCE(before, '') || decode(repeat('00', 32), 'hex'), 1, 32)
           || substr(hash || decode(repeat('00', 32), 'hex'), 1, 32)
           || substr(COALESCE(sha256, '') || decode(repeat('00', 32), 'hex'), 1, 32),
       data
FROM (
    SELECT r.chain, r.seq, r.run_id, r.number, r.key_id, r.hash,
           (SELECT p.hash FROM records p WHERE p.chain = r.chain AND p.seq = r.seq - 1) AS before,
           CASE WHEN r.key_id IS NULL AND r.sealed IS NULL THEN 0 ELSE 1 END AS hidden,
           CASE WHEN r.key_id IS NULL AND r.sealed IS NULL THEN NULL
                ELSE r.body_sha256 END AS sha256,
           CASE WHEN r.key_id IS NULL AND r.sealed IS NULL
                THEN substring(r.body FROM '^\{"type":"([^"]*)"') ELSE r.kind END AS type,
           convert_to(r.body, 'UTF8') || COALESCE(r.sealed, '') AS data
    FROM records r
) AS row;

ALTER TABLE packs ADD PRIMARY KEY (chain, seq);
CREATE INDEX packs_of_run ON packs (run_id, number);

DROP TABLE records;
