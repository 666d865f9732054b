DROP TABLE attempts;
DROP TABLE api_keys;
