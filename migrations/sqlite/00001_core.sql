-- +goose Up
-- The twin of postgres/00001_core.sql: a test compares tables, columns, keys, indexes, checks and triggers by name.
-- Ids are lower-case UUID text; times are UTC text that compares in order; a text primary key needs its own NOT NULL here.
-- Not STRICT: the column type timestamp, which the driver reads as a time, does not exist there.
CREATE TABLE users (
    id             text        NOT NULL PRIMARY KEY,
    username       text        NOT NULL,
    email          text        NOT NULL,
    password_hash  text        NOT NULL,
    role           text        NOT NULL DEFAULT 'user' CONSTRAINT users_role_check CHECK (role IN ('user', 'admin')),
    -- Access tokens carry the generation; raising it ends every token at once (logout everywhere, new password).
    token_generation integer   NOT NULL DEFAULT 1,
    created_at     timestamp   NOT NULL,
    updated_at     timestamp   NOT NULL,
    deleted_at     timestamp
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE refresh_tokens (
    id          text        NOT NULL PRIMARY KEY,
    family_id   text        NOT NULL,
    user_id     text        NOT NULL REFERENCES users (id),
    token_hash  text        NOT NULL,
    created_at  timestamp   NOT NULL,
    expires_at  timestamp   NOT NULL,
    used_at     timestamp,
    revoked_at  timestamp
);
CREATE UNIQUE INDEX refresh_tokens_token_hash_key ON refresh_tokens (token_hash);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (user_id);

-- System accounts have posted NULL and are never locked or updated: their balance is the sum of their entries.
CREATE TABLE accounts (
    id            text        NOT NULL PRIMARY KEY,
    kind          text        NOT NULL CONSTRAINT accounts_kind_check CHECK (kind IN ('user', 'system')),
    user_id       text        REFERENCES users (id),
    code          text,
    name          text        NOT NULL DEFAULT '',
    currency      text        NOT NULL CONSTRAINT accounts_currency_check CHECK (length(currency) = 3),
    status        text        NOT NULL DEFAULT 'active' CONSTRAINT accounts_status_check CHECK (status IN ('active', 'frozen', 'closed')),
    posted        integer,
    held          integer     NOT NULL DEFAULT 0,
    entry_seq     integer     NOT NULL DEFAULT 0,
    last_entry_at timestamp,
    created_at    timestamp   NOT NULL,
    updated_at    timestamp   NOT NULL,
    closed_at     timestamp,
    CONSTRAINT accounts_owner_check CHECK (
        (kind = 'user' AND user_id IS NOT NULL AND code IS NULL AND posted IS NOT NULL)
        OR (kind = 'system' AND user_id IS NULL AND code IS NOT NULL AND posted IS NULL AND held = 0)),
    CONSTRAINT accounts_overspend_check CHECK (posted IS NULL OR posted - held >= 0),
    CONSTRAINT accounts_held_check CHECK (held >= 0),
    CONSTRAINT accounts_closed_check CHECK (status <> 'closed' OR (posted = 0 AND held = 0 AND closed_at IS NOT NULL))
);
CREATE INDEX accounts_user_idx ON accounts (user_id, id) WHERE kind = 'user';
CREATE UNIQUE INDEX accounts_system_key ON accounts (code, currency) WHERE kind = 'system';

CREATE TABLE transactions (
    id                     text        NOT NULL PRIMARY KEY,
    type                   text        NOT NULL CONSTRAINT transactions_type_check CHECK (type IN ('deposit', 'withdraw', 'transfer', 'refund', 'refund_reversal',
                                           'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee', 'unmatched')),
    status                 text        NOT NULL CONSTRAINT transactions_status_check CHECK (status IN ('initiated', 'pending', 'completed', 'failed')),
    version                integer     NOT NULL CONSTRAINT transactions_version_check CHECK (version >= 1),
    user_id                text        REFERENCES users (id),
    account_id             text        REFERENCES accounts (id),
    counterparty_account_id text       REFERENCES accounts (id),
    amount                 integer     NOT NULL CONSTRAINT transactions_amount_check CHECK (amount > 0),
    currency               text        NOT NULL CONSTRAINT transactions_currency_check CHECK (length(currency) = 3),
    -- What the account was or will be changed by, in its own currency; the other side's for a transfer.
    posted_amount          integer     CONSTRAINT transactions_posted_amount_check CHECK (posted_amount > 0),
    posted_currency        text        CONSTRAINT transactions_posted_currency_check CHECK (length(posted_currency) = 3),
    counterparty_amount    integer     CONSTRAINT transactions_counterparty_amount_check CHECK (counterparty_amount > 0),
    counterparty_currency  text        CONSTRAINT transactions_counterparty_currency_check CHECK (length(counterparty_currency) = 3),
    received_amount        integer     CONSTRAINT transactions_received_amount_check CHECK (received_amount >= 0),
    conversion             text,
    provider               text        NOT NULL,
    payment_id             text,
    payment_flow           text        NOT NULL DEFAULT '',
    next_action            text,
    money_source           text        NOT NULL DEFAULT '',
    external_target        text,
    linked_transaction_id  text        REFERENCES transactions (id),
    failure_code           text,
    failure_message        text,
    metadata               text        NOT NULL DEFAULT '{}',
    -- The step of an open transaction that is due: the number of the provider attempt, when to look at it again,
    -- how often that was done, and a fence that a slower worker's write runs into.
    attempt                integer     NOT NULL DEFAULT 1 CONSTRAINT transactions_attempt_check CHECK (attempt >= 1),
    tries                  integer     NOT NULL DEFAULT 0,
    fence                  integer     NOT NULL DEFAULT 0,
    next_attempt_at        timestamp,
    expires_at             timestamp,
    request_id             text        NOT NULL DEFAULT '',
    trace_parent           text        NOT NULL DEFAULT '',
    created_at             timestamp   NOT NULL,
    updated_at             timestamp   NOT NULL,
    completed_at           timestamp,
    CONSTRAINT transactions_work_check CHECK ((status IN ('completed', 'failed')) = (next_attempt_at IS NULL)),
    CONSTRAINT transactions_completed_check CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT transactions_failed_check CHECK (status <> 'failed' OR failure_code IS NOT NULL)
);
CREATE UNIQUE INDEX transactions_payment_key ON transactions (provider, payment_id) WHERE payment_id IS NOT NULL AND type IN ('deposit', 'withdraw');
CREATE INDEX transactions_account_idx ON transactions (account_id, id DESC);
CREATE INDEX transactions_counterparty_idx ON transactions (counterparty_account_id, id DESC) WHERE counterparty_account_id IS NOT NULL;
CREATE INDEX transactions_due_idx ON transactions (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX transactions_linked_idx ON transactions (linked_transaction_id) WHERE linked_transaction_id IS NOT NULL;

-- No foreign key to accounts: it would take a share lock on the system accounts' rows with every entry.
CREATE TABLE entries (
    transaction_id text        NOT NULL REFERENCES transactions (id),
    line           integer     NOT NULL CONSTRAINT entries_line_check CHECK (line >= 1),
    account_id     text        NOT NULL,
    currency       text        NOT NULL CONSTRAINT entries_currency_check CHECK (length(currency) = 3),
    amount         integer     NOT NULL CONSTRAINT entries_amount_check CHECK (amount <> 0),
    -- The user account's own sequence number and the balance after the entry; NULL on system accounts.
    account_seq    integer,
    balance_after  integer,
    -- The account that a receivable is owed by.
    debtor_id      text,
    posted_at      timestamp   NOT NULL,
    PRIMARY KEY (transaction_id, line),
    CONSTRAINT entries_seq_check CHECK ((account_seq IS NULL) = (balance_after IS NULL)),
    CONSTRAINT entries_balance_check CHECK (balance_after IS NULL OR balance_after >= 0)
);
CREATE UNIQUE INDEX entries_account_seq_key ON entries (account_id, account_seq) WHERE account_seq IS NOT NULL;
CREATE INDEX entries_account_time_idx ON entries (account_id, posted_at);

CREATE TABLE holds (
    transaction_id text        NOT NULL PRIMARY KEY REFERENCES transactions (id),
    account_id     text        NOT NULL REFERENCES accounts (id),
    currency       text        NOT NULL CONSTRAINT holds_currency_check CHECK (length(currency) = 3),
    amount         integer     NOT NULL CONSTRAINT holds_amount_check CHECK (amount > 0),
    captured       integer     NOT NULL DEFAULT 0 CONSTRAINT holds_captured_check CHECK (captured >= 0),
    released       integer     NOT NULL DEFAULT 0 CONSTRAINT holds_released_check CHECK (released >= 0),
    status         text        NOT NULL CONSTRAINT holds_status_check CHECK (status IN ('active', 'ended')),
    created_at     timestamp   NOT NULL,
    ended_at       timestamp,
    CONSTRAINT holds_sum_check CHECK (captured + released <= amount),
    CONSTRAINT holds_ended_check CHECK (status <> 'ended' OR captured + released = amount)
);
CREATE INDEX holds_active_idx ON holds (account_id) WHERE status = 'active';

-- Append-only but for position, which the relay sets once.
CREATE TABLE payment_events (
    id             text        NOT NULL PRIMARY KEY,
    transaction_id text        NOT NULL REFERENCES transactions (id),
    seq            integer     NOT NULL CONSTRAINT payment_events_seq_check CHECK (seq >= 1),
    from_status    text,
    to_status      text        NOT NULL CONSTRAINT payment_events_to_status_check CHECK (to_status IN ('initiated', 'pending', 'completed', 'failed')),
    cause          text        NOT NULL,
    payload        text        NOT NULL,
    at             timestamp   NOT NULL,
    position       integer     CONSTRAINT payment_events_position_check CHECK (position >= 1)
);
CREATE UNIQUE INDEX payment_events_seq_key ON payment_events (transaction_id, seq);
CREATE UNIQUE INDEX payment_events_position_key ON payment_events (position) WHERE position IS NOT NULL;
CREATE INDEX payment_events_waiting_idx ON payment_events (at) WHERE position IS NULL;

-- The key is a 16-byte hash of user and key and stays for ever; the answer is kept for its retention.
CREATE TABLE idempotency_keys (
    key_hash        text        NOT NULL PRIMARY KEY,
    user_id         text        NOT NULL REFERENCES users (id),
    fingerprint     text        NOT NULL,
    resource_id     text        NOT NULL,
    fence           integer     NOT NULL DEFAULT 1,
    locked_until    timestamp,
    response_status integer,
    response_body   text,
    created_at      timestamp   NOT NULL,
    finished_at     timestamp,
    CONSTRAINT idempotency_keys_finished_check CHECK ((finished_at IS NULL) OR (locked_until IS NULL))
);
CREATE UNIQUE INDEX idempotency_keys_resource_key ON idempotency_keys (resource_id);

CREATE TABLE inbox (
    id              text        NOT NULL PRIMARY KEY,
    provider        text        NOT NULL,
    event_id        text        NOT NULL,
    kind            text        NOT NULL,
    type            text        NOT NULL,
    payment_id      text        NOT NULL DEFAULT '',
    transaction_id  text,
    payload         text        NOT NULL,
    status          text        NOT NULL CONSTRAINT inbox_status_check CHECK (status IN ('received', 'processed', 'ignored', 'parked', 'quarantined', 'dead', 'discarded')),
    reason          text        NOT NULL DEFAULT '',
    tries           integer     NOT NULL DEFAULT 0,
    fence           integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamp,
    trace_parent    text        NOT NULL DEFAULT '',
    received_at     timestamp   NOT NULL,
    processed_at    timestamp,
    CONSTRAINT inbox_work_check CHECK ((status IN ('received', 'parked')) = (next_attempt_at IS NOT NULL))
);
CREATE UNIQUE INDEX inbox_event_key ON inbox (provider, event_id);
CREATE INDEX inbox_due_idx ON inbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX inbox_transaction_idx ON inbox (transaction_id) WHERE transaction_id IS NOT NULL;

-- One row per fact of a provider that had an effect, however many events stated it.
CREATE TABLE effects (
    provider       text        NOT NULL,
    ref            text        NOT NULL,
    effect         text        NOT NULL,
    transaction_id text        NOT NULL REFERENCES transactions (id),
    created_at     timestamp   NOT NULL,
    PRIMARY KEY (provider, ref, effect)
);

CREATE TABLE provider_calls (
    id             text        NOT NULL PRIMARY KEY,
    transaction_id text        NOT NULL REFERENCES transactions (id),
    attempt        integer     NOT NULL,
    operation      text        NOT NULL,
    outcome        text        NOT NULL,
    trace_parent   text        NOT NULL DEFAULT '',
    started_at     timestamp   NOT NULL,
    ended_at       timestamp   NOT NULL
);
CREATE INDEX provider_calls_transaction_idx ON provider_calls (transaction_id);

CREATE TABLE dead_letters (
    id           text        NOT NULL PRIMARY KEY,
    source       text        NOT NULL CONSTRAINT dead_letters_source_check CHECK (source IN ('inbox')),
    source_id    text        NOT NULL,
    reason       text        NOT NULL,
    last_error   text        NOT NULL,
    tries        integer     NOT NULL,
    payload      text        NOT NULL,
    status       text        NOT NULL CONSTRAINT dead_letters_status_check CHECK (status IN ('open', 'redriven', 'discarded')),
    created_at   timestamp   NOT NULL,
    settled_at   timestamp,
    CONSTRAINT dead_letters_settled_check CHECK ((status = 'open') = (settled_at IS NULL))
);
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_id) WHERE status = 'open';

CREATE TABLE reviews (
    id             text        NOT NULL PRIMARY KEY,
    kind           text        NOT NULL,
    transaction_id text        REFERENCES transactions (id),
    inbox_id       text,
    detail         text        NOT NULL,
    status         text        NOT NULL CONSTRAINT reviews_status_check CHECK (status IN ('open', 'settled')),
    created_at     timestamp   NOT NULL,
    settled_at     timestamp
);
CREATE INDEX reviews_open_idx ON reviews (created_at) WHERE status = 'open';
CREATE INDEX reviews_transaction_idx ON reviews (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE audit (
    id         text        NOT NULL PRIMARY KEY,
    actor      text        NOT NULL,
    action     text        NOT NULL,
    subject    text        NOT NULL,
    reason     text        NOT NULL DEFAULT '',
    detail     text        NOT NULL DEFAULT '',
    ip         text        NOT NULL DEFAULT '',
    request_id text        NOT NULL DEFAULT '',
    at         timestamp   NOT NULL
);

-- A fenced lease: whoever holds it writes with its fence, and a holder that overslept writes to zero rows.
CREATE TABLE leases (
    name       text        NOT NULL PRIMARY KEY,
    holder     text        NOT NULL,
    fence      integer     NOT NULL,
    expires_at timestamp   NOT NULL
);

CREATE TABLE subscribers (
    name       text        NOT NULL PRIMARY KEY,
    position   integer     NOT NULL CONSTRAINT subscribers_position_check CHECK (position >= 0),
    updated_at timestamp   NOT NULL
);

-- The relay's counter: the last position given, and the fence of the relay that gave it.
CREATE TABLE log_head (
    id       integer  NOT NULL PRIMARY KEY CONSTRAINT log_head_id_check CHECK (id = 1),
    position integer  NOT NULL CONSTRAINT log_head_position_check CHECK (position >= 0),
    fence    integer  NOT NULL
);
INSERT INTO log_head (id, position, fence) VALUES (1, 0, 0);

-- INSERT OR REPLACE deletes too: these triggers see it because every connection sets recursive_triggers.
-- +goose StatementBegin
CREATE TRIGGER entries_append_only BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_append_only_delete BEFORE DELETE ON entries
BEGIN
    SELECT RAISE(ABORT, 'entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_append_only_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payment_events_no_delete BEFORE DELETE ON payment_events
BEGIN
    SELECT RAISE(ABORT, 'payment_events is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payment_events_append_only BEFORE UPDATE ON payment_events
WHEN OLD.position IS NOT NULL OR NEW.position IS NULL
    OR NEW.id IS NOT OLD.id OR NEW.transaction_id IS NOT OLD.transaction_id OR NEW.seq IS NOT OLD.seq OR NEW.from_status IS NOT OLD.from_status
    OR NEW.to_status IS NOT OLD.to_status OR NEW.cause IS NOT OLD.cause OR NEW.payload IS NOT OLD.payload OR NEW.at IS NOT OLD.at
BEGIN
    SELECT RAISE(ABORT, 'payment_events is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER effects_append_only BEFORE UPDATE ON effects
BEGIN
    SELECT RAISE(ABORT, 'effects is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER effects_append_only_delete BEFORE DELETE ON effects
BEGIN
    SELECT RAISE(ABORT, 'effects is append-only');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE log_head;
DROP TABLE subscribers;
DROP TABLE leases;
DROP TABLE audit;
DROP TABLE reviews;
DROP TABLE dead_letters;
DROP TABLE provider_calls;
DROP TABLE effects;
DROP TABLE inbox;
DROP TABLE idempotency_keys;
DROP TABLE payment_events;
DROP TABLE holds;
DROP TABLE entries;
DROP TABLE transactions;
DROP TABLE accounts;
DROP TABLE refresh_tokens;
DROP TABLE users;
