-- +goose Up
-- How many deposits a user has open is asked with every one that they begin.
CREATE INDEX transactions_open_deposit_idx ON transactions (user_id) WHERE type = 'deposit' AND next_attempt_at IS NOT NULL;

-- Which card a payment was refused for, by the provider's own name of the card, never its number.
CREATE TABLE card_failures (
    provider       text        NOT NULL,
    event_id       text        NOT NULL,
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    user_id        uuid        NOT NULL REFERENCES users (id),
    card           text        NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX card_failures_card_idx ON card_failures (card, created_at);
CREATE INDEX card_failures_user_idx ON card_failures (user_id, created_at);

-- When the bytes that the provider sent were erased; what was read from them stays.
ALTER TABLE inbox ADD COLUMN raw_erased_at timestamptz;

-- Of each table with sealed texts: all that was made before is sealed under the key.
CREATE TABLE seal_marks (
    name     text        NOT NULL PRIMARY KEY,
    seal_key text        NOT NULL,
    since    timestamptz NOT NULL
);

-- Users who have left, and when what named them was erased.
CREATE TABLE erasures (
    user_id  uuid        NOT NULL PRIMARY KEY REFERENCES users (id),
    asked_at timestamptz NOT NULL,
    done_at  timestamptz
);
CREATE INDEX erasures_open_idx ON erasures (asked_at) WHERE done_at IS NULL;
INSERT INTO erasures (user_id, asked_at) SELECT id, deleted_at FROM users WHERE deleted_at IS NOT NULL;

-- Older programs cannot read what is sealed.
UPDATE schema_floor SET oldest = 13;

-- +goose Down
UPDATE schema_floor SET oldest = 8;
DROP TABLE erasures;
DROP TABLE seal_marks;
ALTER TABLE inbox DROP COLUMN raw_erased_at;
DROP TABLE card_failures;
DROP INDEX transactions_open_deposit_idx;
