-- Accounts: people who sign in with a password, and the sessions that they open. Of a password only
-- a slow hash is kept, of a session's tokens nothing. Times are microseconds since 1970.

CREATE TABLE accounts (
    id          BLOB    NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    -- In lower case.
    email       TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    -- A PHC string.
    password    TEXT    NOT NULL,
    -- The verified identity as JSON: tenant, subject, roles, scopes, consents.
    identity    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY,
    account    BLOB    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- How often its tokens were renewed.
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_account ON sessions (account, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What a key was made with: another key, an account, or neither.
ALTER TABLE api_keys ADD COLUMN maker_key BLOB;
ALTER TABLE api_keys ADD COLUMN maker_account BLOB;
-- How many requests it may make.
ALTER TABLE api_keys ADD COLUMN per_minute INTEGER;
ALTER TABLE api_keys ADD COLUMN per_day INTEGER;
