-- Only taken while nothing is sealed, or together with the tables that hold it.
ALTER TABLE approvals DROP COLUMN key_id;
ALTER TABLE approvals DROP COLUMN sealed;
ALTER TABLE blobs DROP COLUMN key_id;
ALTER TABLE blobs DROP COLUMN sealed;
ALTER TABLE records DROP COLUMN key_id;
ALTER TABLE records DROP COLUMN sealed;
ALTER TABLE records DROP COLUMN body_sha256;
ALTER TABLE records DROP COLUMN kind;
DROP TABLE sealing;
DROP TABLE subject_keys;
