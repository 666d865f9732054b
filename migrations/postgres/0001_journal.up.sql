-- Each process writes one chain at a time, under a lease by the clock of this database.
CREATE TABLE chains (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node        TEXT   NOT NULL,
    -- Counts the owners; who writes with a former number is refused.
    epoch       BIGINT NOT NULL,
    -- NULL if nobody owns the chain.
    lease_until TIMESTAMPTZ,
    head_seq    BIGINT NOT NULL,
    head_hash   BYTEA  NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE records (
    chain   BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    run_id  BYTEA  NOT NULL,
    -- Position within the run, over all chains.
    number  BIGINT NOT NULL,
    hash    BYTEA  NOT NULL,
    -- The JSON text of the entry, exactly as hashed.
    body    TEXT   NOT NULL,
    PRIMARY KEY (chain, seq)
);

CREATE INDEX records_of_run ON records (run_id, number);

-- What follows from the records of a run, and who works on it. Times are microseconds since 1970.
CREATE TABLE runs (
    run_id        BYTEA  NOT NULL PRIMARY KEY,
    tenant        TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    agent         TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    wake_at       BIGINT,
    -- The chain and epoch of the process that works on it; nobody does on a parked run.
    owner_chain   BIGINT,
    owner_epoch   BIGINT,
    cancel_reason TEXT,
    -- 1 once the owner was told to cancel.
    cancel_told   BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX runs_of_tenant ON runs (tenant, run_id);
CREATE INDEX runs_unfinished ON runs (wake_at) WHERE ended_at IS NULL;

CREATE TABLE approvals (
    id           BYTEA  NOT NULL PRIMARY KEY,
    tenant       TEXT   NOT NULL,
    run_id       BYTEA  NOT NULL,
    status       TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    revision     BIGINT NOT NULL,
    -- The approval as JSON.
    document     TEXT   NOT NULL
);

CREATE INDEX approvals_of_tenant ON approvals (tenant, requested_at, id);
CREATE INDEX approvals_of_run ON approvals (run_id);

-- Content, once for each subject.
CREATE TABLE blobs (
    tenant  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    sha256  BYTEA  NOT NULL,
    bytes   BIGINT NOT NULL,
    content BYTEA  NOT NULL,
    PRIMARY KEY (tenant, subject, sha256)
);

-- Which run may load which content, under which label (JSON).
CREATE TABLE run_blobs (
    run_id BYTEA NOT NULL,
    sha256 BYTEA NOT NULL,
    label  TEXT  NOT NULL,
    PRIMARY KEY (run_id, sha256)
);

-- The Merkle tree over a chain, in tiles (C2SP tlog-tiles), and its signed checkpoints.
CREATE TABLE tiles (
    chain  BIGINT NOT NULL,
    level  BIGINT NOT NULL,
    idx    BIGINT NOT NULL,
    hashes BYTEA  NOT NULL,
    PRIMARY KEY (chain, level, idx)
);

CREATE TABLE checkpoints (
    chain BIGINT NOT NULL,
    size  BIGINT NOT NULL,
    note  TEXT   NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (chain, size)
);
