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

-- Which run a request under a client's own key has started, so that a retry finds it.
CREATE TABLE attempts (
    tenant     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    client_key TEXT    NOT NULL,
    -- SHA-256 of the request.
    request    BYTEA   NOT NULL,
    -- Zeros if it was refused and none began.
    run_id     BYTEA   NOT NULL,
    at         BIGINT  NOT NULL,
    PRIMARY KEY (tenant, subject, client_key)
);

CREATE INDEX attempts_by_age ON attempts (at);
