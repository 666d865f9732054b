-- The keys that the data of each subject is sealed with, themselves sealed (wrapped) with the
-- installation's key-encryption key. A row is never deleted: it says that there was an erasure.
CREATE TABLE subject_keys (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    -- From 1; one more each time that the subject comes again after an erasure.
    generation BIGINT NOT NULL,
    -- Which key-encryption key it is wrapped with.
    kek_id     TEXT   NOT NULL,
    -- NULL once erased.
    wrapped    BYTEA,
    -- By the clock of this database, in microseconds since 1970.
    created_at BIGINT NOT NULL,
    erased_at  BIGINT,
    UNIQUE (tenant, subject, generation)
);

CREATE UNIQUE INDEX subject_keys_live ON subject_keys (tenant, subject) WHERE wrapped IS NOT NULL;

-- Which key-encryption key new keys are wrapped with. Without a row, nothing is sealed.
CREATE TABLE sealing (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    kek_id TEXT   NOT NULL
);

-- Of a sealed record `body` is empty; these are NULL of one in the clear. `sealed` is NULL and
-- `key_id` that of an erased key if the text was in the clear when its subject was erased.
ALTER TABLE records ADD COLUMN kind TEXT;
ALTER TABLE records ADD COLUMN body_sha256 BYTEA;
ALTER TABLE records ADD COLUMN sealed BYTEA;
ALTER TABLE records ADD COLUMN key_id BIGINT;

-- As with records: `content` and `document` are empty where `sealed` is not NULL.
ALTER TABLE blobs ADD COLUMN sealed BYTEA;
ALTER TABLE blobs ADD COLUMN key_id BIGINT;
ALTER TABLE approvals ADD COLUMN sealed BYTEA;
ALTER TABLE approvals ADD COLUMN key_id BIGINT;

-- What is sealed does not get smaller by compression.
ALTER TABLE records ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE blobs ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE approvals ALTER COLUMN sealed SET STORAGE EXTERNAL;
