-- What keys may spend, and what is reserved of it. Amounts are minor units, times microseconds
-- since 1970.

CREATE TABLE budgets (
    -- The id of the key.
    id             BLOB    NOT NULL PRIMARY KEY,
    tenant         TEXT    NOT NULL,
    limit_minor    INTEGER NOT NULL,
    spent_minor    INTEGER NOT NULL,
    reserved_minor INTEGER NOT NULL,
    CHECK (spent_minor >= 0 AND reserved_minor >= 0
           AND spent_minor + reserved_minor <= limit_minor)
) STRICT, WITHOUT ROWID;

-- What a run has cost so far, until it ends.
CREATE TABLE charges (
    run_id       BLOB    NOT NULL,
    -- The run, or the message that calls a tool.
    id           BLOB    NOT NULL,
    budget       BLOB    NOT NULL,
    tenant       TEXT    NOT NULL,
    amount_minor INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    settled      INTEGER NOT NULL,
    PRIMARY KEY (run_id, id, budget)
) STRICT, WITHOUT ROWID;

CREATE INDEX charges_by_age ON charges (at);

-- What the key may spend.
ALTER TABLE api_keys ADD COLUMN budget_minor INTEGER;
