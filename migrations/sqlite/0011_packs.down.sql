-- A row for each record again.

CREATE TABLE records (
    seq         INTEGER PRIMARY KEY,
    chain       INTEGER NOT NULL CHECK (chain = 1),
    run_id      BLOB    NOT NULL,
    number      INTEGER NOT NULL,
    hash        BLOB    NOT NULL,
    body        TEXT    NOT NULL,
    kind        TEXT,
    body_sha256 BLOB,
    sealed      BLOB,
    key_id      INTEGER
) STRICT;

INSERT INTO records (seq, chain, run_id, number, hash, body, kind, body_sha256, sealed, key_id)
SELECT seq, chain, run_id, number, substr(hashes, 96 * at + 33, 32),
       CASE WHEN hidden THEN '' ELSE CAST(data AS TEXT) END,
       CASE WHEN hidden THEN type END,
       CASE WHEN hidden THEN substr(hashes, 96 * at + 65, 32) END,
       CASE WHEN hidden AND data <> x'' THEN data END,
       CASE WHEN hidden THEN key_id END
FROM (
    SELECT part.value ->> 0 AS seq, chain, run_id, hashes, key_id, part.key AS at,
           number - json_array_length(meta) + 1 + part.key AS number,
           part.value ->> 2 AS hidden, part.value ->> 3 AS type,
           substr(data, 1 - (part.value ->> 1) + SUM(part.value ->> 1) OVER (
               PARTITION BY packs.seq ORDER BY part.key
           ), part.value ->> 1) AS data
    FROM packs, json_each(meta) AS part
);

CREATE INDEX records_of_run ON records (run_id, number);

DROP TABLE packs;
