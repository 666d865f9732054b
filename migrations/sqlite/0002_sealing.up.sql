-- The keys that the data of each subject is sealed with, themselves sealed (wrapped) with the
-- installation's key-encryption key. A row is never deleted: it says that there was an erasure.
CREATE TABLE subject_keys (
    id         INTEGER PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    -- From 1; one more each time that the subject comes again after an erasure.
    generation INTEGER NOT NULL,
    -- Which key-encryption key it is wrapped with.
    kek_id     TEXT   NOT NULL,
    -- NULL once erased.
    wrapped    BLOB,
    -- By the clock of this database, in microseconds since 1970.
    created_at INTEGER NOT NULL,
    erased_at  INTEGER,
    UNIQUE (tenant, subject, generation)
) STRICT;

CREATE UNIQUE INDEX subject_keys_live ON subject_keys (tenant, subject) WHERE wrapped IS NOT NULL;

-- Which key-encryption key new keys are wrapped with. Without a row, nothing is sealed.
CREATE TABLE sealing (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    kek_id TEXT   NOT NULL
) STRICT;

-- Of a sealed record `body` is empty; these are NULL of one in the clear. `sealed` is NULL and
-- `key_id` that of an erased key if the text was in the clear when its subject was erased.
ALTER TABLE records ADD COLUMN kind TEXT;
ALTER TABLE records ADD COLUMN body_sha256 BLOB;
ALTER TABLE records ADD COLUMN sealed BLOB;
ALTER TABLE records ADD COLUMN key_id INTEGER;

-- As with records: `content` and `document` are empty where `sealed` is not NULL.
ALTER TABLE blobs ADD COLUMN sealed BLOB;
ALTER TABLE blobs ADD COLUMN key_id INTEGER;
ALTER TABLE approvals ADD COLUMN sealed BLOB;
ALTER TABLE approvals ADD COLUMN key_id INTEGER;
