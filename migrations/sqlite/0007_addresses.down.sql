-- Only taken while no account is sealed, or together with the table that holds them.
DROP TABLE account_lookup;
ALTER TABLE accounts DROP COLUMN key_id;
ALTER TABLE accounts DROP COLUMN sealed;
ALTER TABLE accounts RENAME COLUMN found_by TO email;
