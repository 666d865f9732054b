-- Files that somebody has sent to ask about later. Times are microseconds since 1970.

CREATE TABLE documents (
    id         BYTEA   NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    -- Of the content in the clear.
    sha256     BYTEA   NOT NULL,
    bytes      BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    -- As with blobs: empty where `sealed` is not NULL.
    content    BYTEA   NOT NULL,
    sealed     BYTEA,
    key_id     BIGINT
);

CREATE INDEX documents_of_tenant ON documents (tenant, subject, id);
