DROP INDEX approvals_pending;
