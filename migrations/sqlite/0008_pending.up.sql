-- Few approvals are pending; those of runs that have ended are looked for among them.
CREATE INDEX approvals_pending ON approvals (run_id) WHERE status = 'pending';
