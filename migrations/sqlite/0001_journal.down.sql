DROP TABLE checkpoints;
DROP TABLE tiles;
DROP TABLE run_blobs;
DROP TABLE blobs;
DROP TABLE approvals;
DROP TABLE runs;
DROP TABLE records;
DROP TABLE chains;
