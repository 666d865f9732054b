-- Files that somebody has sent to ask about later. Times are microseconds since 1970.

CREATE TABLE documents (
    id         BLOB    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    -- Of the content in the clear.
    sha256     BLOB    NOT NULL,
    bytes      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- As with blobs: empty where `sealed` is not NULL.
    content    BLOB    NOT NULL,
    sealed     BLOB,
    key_id     INTEGER
) STRICT;

CREATE INDEX documents_of_tenant ON documents (tenant, subject, id);
