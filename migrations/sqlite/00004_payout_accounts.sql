-- +goose Up
-- The accounts that our users have at providers to be paid out to.
CREATE TABLE payout_accounts (
    provider            text        NOT NULL,
    provider_account_id text        NOT NULL,
    user_id             text        NOT NULL REFERENCES users (id),
    complete            boolean     NOT NULL,
    payouts_enabled     boolean     NOT NULL,
    created_at          timestamp   NOT NULL,
    updated_at          timestamp   NOT NULL,
    PRIMARY KEY (provider, provider_account_id)
);
CREATE UNIQUE INDEX payout_accounts_user_key ON payout_accounts (provider, user_id);

-- Where deposits by card were asked for from, to find who tries stolen ones.
CREATE TABLE deposit_origins (
    transaction_id text        NOT NULL PRIMARY KEY REFERENCES transactions (id),
    address        text        NOT NULL,
    created_at     timestamp   NOT NULL
);
CREATE INDEX deposit_origins_address_idx ON deposit_origins (address, created_at);
CREATE INDEX inbox_attempt_idx ON inbox (received_at) WHERE kind = 'payment.attempt_failed';
CREATE INDEX transactions_failed_deposit_idx ON transactions (account_id, updated_at) WHERE type = 'deposit' AND status = 'failed';

-- +goose Down
DROP INDEX transactions_failed_deposit_idx;
DROP INDEX inbox_attempt_idx;
DROP TABLE deposit_origins;
DROP TABLE payout_accounts;
