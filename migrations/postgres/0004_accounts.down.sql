ALTER TABLE api_keys DROP COLUMN per_day;
ALTER TABLE api_keys DROP COLUMN per_minute;
ALTER TABLE api_keys DROP COLUMN maker_account;
ALTER TABLE api_keys DROP COLUMN maker_key;
DROP TABLE sessions;
DROP TABLE accounts;
