-- Accounts: people who sign in with a password, and the sessions that they open. Of a password only
-- a slow hash is kept, of a session's tokens nothing. Times are microseconds since 1970.

CREATE TABLE accounts (
    id          BYTEA   NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    -- In lower case.
    email       TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    -- A PHC string.
    password    TEXT    NOT NULL,
    -- The verified identity as JSON: tenant, subject, roles, scopes, consents.
    identity    TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE sessions (
    id         BYTEA   NOT NULL PRIMARY KEY,
    account    BYTEA   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- How often its tokens were renewed.
    generation BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    ended_at   BIGINT
);

CREATE INDEX sessions_of_account ON sessions (account, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What a key was made with: another key, an account, or neither.
ALTER TABLE api_keys ADD COLUMN maker_key BYTEA;
ALTER TABLE api_keys ADD COLUMN maker_account BYTEA;
-- How many requests it may make.
ALTER TABLE api_keys ADD COLUMN per_minute BIGINT;
ALTER TABLE api_keys ADD COLUMN per_day BIGINT;
