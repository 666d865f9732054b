-- E-mail address and name of an account are sealed, as the rest of what is kept of a person.

-- What an account is found by: its address, or where it is sealed the keyed hash of that in
-- hexadecimal, which has no `@`.
ALTER TABLE accounts RENAME COLUMN email TO found_by;
-- As with records: `name` is empty where this is not NULL.
ALTER TABLE accounts ADD COLUMN sealed BYTEA;
ALTER TABLE accounts ADD COLUMN key_id BIGINT;

-- The key of those hashes, wrapped as the keys of subjects are.
CREATE TABLE account_lookup (
    id      BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    kek_id  TEXT    NOT NULL,
    wrapped BYTEA   NOT NULL
);
