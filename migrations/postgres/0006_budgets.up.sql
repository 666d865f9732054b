-- What keys may spend, and what is reserved of it. Amounts are minor units, times microseconds
-- since 1970.

CREATE TABLE budgets (
    -- The id of the key.
    id             BYTEA   NOT NULL PRIMARY KEY,
    tenant         TEXT    NOT NULL,
    limit_minor    BIGINT  NOT NULL,
    spent_minor    BIGINT  NOT NULL,
    reserved_minor BIGINT  NOT NULL,
    CHECK (spent_minor >= 0 AND reserved_minor >= 0
           AND spent_minor + reserved_minor <= limit_minor)
);

-- What a run has cost so far, until it ends.
CREATE TABLE charges (
    run_id       BYTEA   NOT NULL,
    -- The run, or the message that calls a tool.
    id           BYTEA   NOT NULL,
    budget       BYTEA   NOT NULL,
    tenant       TEXT    NOT NULL,
    amount_minor BIGINT  NOT NULL,
    at           BIGINT  NOT NULL,
    settled      BIGINT  NOT NULL,
    PRIMARY KEY (run_id, id, budget)
);

CREATE INDEX charges_by_age ON charges (at);

-- What the key may spend.
ALTER TABLE api_keys ADD COLUMN budget_minor BIGINT;
