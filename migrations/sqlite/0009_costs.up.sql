-- What runs have cost the budgets that they were charged to, in minor units.

CREATE TABLE costs (
    run_id      BLOB    NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    spent_minor INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
