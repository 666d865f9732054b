-- Keys: who may come in, as whom, until when. Of the secret only the hash is kept.
-- Times are microseconds since 1970.

CREATE TABLE api_keys (
    id            BYTEA   NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    -- The verified identity as JSON: tenant, subject, roles, scopes, consents.
    identity      TEXT    NOT NULL,
    -- 1 if the role `admin` is among the roles.
    admin         BIGINT  NOT NULL,
    secret_sha256 BYTEA   NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT
);

CREATE INDEX api_keys_of_tenant ON api_keys (tenant, id);
