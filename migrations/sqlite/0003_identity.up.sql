-- Keys: who may come in, as whom, until when. Of the secret only the hash is kept.
-- Times are microseconds since 1970.

CREATE TABLE api_keys (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    -- The verified identity as JSON: tenant, subject, roles, scopes, consents.
    identity      TEXT    NOT NULL,
    -- 1 if the role `admin` is among the roles.
    admin         INTEGER NOT NULL,
    secret_sha256 BLOB    NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_of_tenant ON api_keys (tenant, id);

-- Which run a request under a client's own key has started, so that a retry finds it.
CREATE TABLE attempts (
    tenant     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    client_key TEXT    NOT NULL,
    -- SHA-256 of the request.
    request    BLOB    NOT NULL,
    -- Zeros if it was refused and none began.
    run_id     BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject, client_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_age ON attempts (at);
