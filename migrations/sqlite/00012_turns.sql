-- +goose Up
-- The twin of postgres/00012_turns.sql.
-- A provider can take the same thing back more than once: a dispute that is won and opened again. attempt is the turn of it, and
-- money_source says which part: of the payment, of what waits in suspense, or more than both, which is owed. Each part of each turn
-- is one transaction.
DROP INDEX transactions_follow_key;
CREATE UNIQUE INDEX transactions_follow_key ON transactions (provider, payment_id, type, attempt, money_source) WHERE payment_id IS NOT NULL
    AND type IN ('refund', 'refund_reversal', 'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee');

-- What a payer was to do for a payment that has ended is of no use, and a secret.
UPDATE transactions SET next_action = NULL WHERE status IN ('completed', 'failed') AND next_action IS NOT NULL;

-- What time a comparison has covered, and how far the provider's list reached; NULL where nothing was there, and for older runs.
ALTER TABLE reconciliation_runs ADD COLUMN covers_from timestamp;
ALTER TABLE reconciliation_runs ADD COLUMN covers_to timestamp;
ALTER TABLE reconciliation_runs ADD COLUMN list_until timestamp;

-- +goose Down
ALTER TABLE reconciliation_runs DROP COLUMN list_until;
ALTER TABLE reconciliation_runs DROP COLUMN covers_to;
ALTER TABLE reconciliation_runs DROP COLUMN covers_from;
DROP INDEX transactions_follow_key;
CREATE UNIQUE INDEX transactions_follow_key ON transactions (provider, payment_id, type) WHERE payment_id IS NOT NULL
    AND type IN ('refund', 'refund_reversal', 'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee');
