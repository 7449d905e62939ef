-- +goose Up
-- The twin of postgres/00013_privacy.sql.
-- How many deposits a user has open is asked with every one that they begin.
CREATE INDEX transactions_open_deposit_idx ON transactions (user_id) WHERE type = 'deposit' AND next_attempt_at IS NOT NULL;

-- Which card a payment was refused for, by the provider's own name of the card, never its number.
CREATE TABLE card_failures (
    provider       text        NOT NULL,
    event_id       text        NOT NULL,
    transaction_id text        NOT NULL REFERENCES transactions (id),
    user_id        text        NOT NULL REFERENCES users (id),
    card           text        NOT NULL,
    created_at     timestamp   NOT NULL,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX card_failures_card_idx ON card_failures (card, created_at);
CREATE INDEX card_failures_user_idx ON card_failures (user_id, created_at);

-- +goose Down
DROP TABLE card_failures;
DROP INDEX transactions_open_deposit_idx;
