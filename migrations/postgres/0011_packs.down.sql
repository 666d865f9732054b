-- A row for each record again.

CREATE TABLE records (
    chain       BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    run_id      BYTEA  NOT NULL,
    number      BIGINT NOT NULL,
    hash        BYTEA  NOT NULL,
    body        TEXT   NOT NULL,
    kind        TEXT,
    body_sha256 BYTEA,
    sealed      BYTEA,
    key_id      BIGINT
);

ALTER TABLE records ALTER COLUMN sealed SET STORAGE EXTERNAL;

INSERT INTO records (chain, seq, run_id, number, hash, body, kind, body_sha256, sealed, key_id)
SELECT chain, seq, run_id, number, substr(hashes, 96 * at - 63, 32),
       CASE WHEN hidden = 1 THEN '' ELSE convert_from(data, 'UTF8') END,
       CASE WHEN hidden = 1 THEN type END,
       CASE WHEN hidden = 1 THEN substr(hashes, 96 * at - 31, 32) END,
       CASE WHEN hidden = 1 AND data <> '' THEN data END,
       CASE WHEN hidden = 1 THEN key_id END
FROM (
    SELECT chain, CAST(value ->> 0 AS BIGINT) AS seq, run_id, hashes, key_id,
           CAST(at AS INTEGER) AS at,
           number - json_array_length(CAST(meta AS JSON)) + at AS number,
           CAST(value ->> 2 AS INTEGER) AS hidden, value ->> 3 AS type,
           substr(data, CAST(1 - CAST(value ->> 1 AS INTEGER)
               + SUM(CAST(value ->> 1 AS INTEGER)) OVER (
                   PARTITION BY chain, packs.seq ORDER BY at
               ) AS INTEGER), CAST(value ->> 1 AS INTEGER)) AS data
    FROM packs, json_array_elements(CAST(meta AS JSON)) WITH ORDINALITY AS part (value, at)
) AS row;

ALTER TABLE records ADD PRIMARY KEY (chain, seq);
CREATE INDEX records_of_run ON records (run_id, number);

DROP TABLE packs;
