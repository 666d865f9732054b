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
