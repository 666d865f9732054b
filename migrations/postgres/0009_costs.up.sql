-- What runs have cost the budgets that they were charged to, in minor units.

CREATE TABLE costs (
    run_id      BYTEA   NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    spent_minor BIGINT  NOT NULL
);
