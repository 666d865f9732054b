ALTER TABLE api_keys DROP COLUMN budget_minor;
DROP TABLE charges;
DROP TABLE budgets;
