-- +goose Up
-- What was taken back and the balance did not cover: less the sum of the entries on receivable that name the account.
ALTER TABLE accounts ADD COLUMN receivable integer NOT NULL DEFAULT 0 CONSTRAINT accounts_receivable_check CHECK (receivable >= 0);

-- One transaction per refund, dispute, return and fee of a provider.
CREATE UNIQUE INDEX transactions_follow_key ON transactions (provider, payment_id, type) WHERE payment_id IS NOT NULL
    AND type IN ('refund', 'refund_reversal', 'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee');
CREATE INDEX entries_debtor_idx ON entries (debtor_id) WHERE debtor_id IS NOT NULL;

-- +goose Down
DROP INDEX entries_debtor_idx;
DROP INDEX transactions_follow_key;
ALTER TABLE accounts DROP COLUMN receivable;
