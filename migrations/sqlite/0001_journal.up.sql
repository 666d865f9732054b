-- One file holds one chain; `chain` is there so that the same queries run on PostgreSQL.

CREATE TABLE chains (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    node        TEXT    NOT NULL,
    -- Counts the owners; who writes with a former number is refused.
    epoch       INTEGER NOT NULL,
    head_seq    INTEGER NOT NULL,
    head_hash   BLOB    NOT NULL
) STRICT;

CREATE TABLE records (
    seq     INTEGER PRIMARY KEY,
    chain   INTEGER NOT NULL CHECK (chain = 1),
    run_id  BLOB    NOT NULL,
    -- Position within the run, over all chains.
    number  INTEGER NOT NULL,
    hash    BLOB    NOT NULL,
    -- The JSON text of the entry, exactly as hashed.
    body    TEXT    NOT NULL
) STRICT;

CREATE INDEX records_of_run ON records (run_id, number);

-- What follows from the records of a run, and who works on it. Times are microseconds since 1970.
CREATE TABLE runs (
    run_id        BLOB    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    wake_at       INTEGER,
    -- The chain and epoch of the process that works on it; nobody does on a parked run.
    owner_chain   INTEGER,
    owner_epoch   INTEGER,
    cancel_reason TEXT,
    -- 1 once the owner was told to cancel.
    cancel_told   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_of_tenant ON runs (tenant, run_id);
CREATE INDEX runs_unfinished ON runs (wake_at) WHERE ended_at IS NULL;

CREATE TABLE approvals (
    id           BLOB    NOT NULL PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    run_id       BLOB    NOT NULL,
    status       TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    -- The approval as JSON.
    document     TEXT    NOT NULL
) STRICT;

CREATE INDEX approvals_of_tenant ON approvals (tenant, requested_at, id);
CREATE INDEX approvals_of_run ON approvals (run_id);

-- Content, once for each subject.
CREATE TABLE blobs (
    tenant  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    sha256  BLOB    NOT NULL,
    bytes   INTEGER NOT NULL,
    content BLOB    NOT NULL,
    PRIMARY KEY (tenant, subject, sha256)
) STRICT;

-- Which run may load which content, under which label (JSON).
CREATE TABLE run_blobs (
    run_id BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    label  TEXT NOT NULL,
    PRIMARY KEY (run_id, sha256)
) STRICT, WITHOUT ROWID;

-- The Merkle tree over a chain, in tiles (C2SP tlog-tiles), and its signed checkpoints.
CREATE TABLE tiles (
    chain  INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (chain, level, idx)
) STRICT;

CREATE TABLE checkpoints (
    chain INTEGER NOT NULL,
    size  INTEGER NOT NULL,
    note  TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (chain, size)
) STRICT, WITHOUT ROWID;
