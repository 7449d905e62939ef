-- +goose Up
CREATE TABLE users (
    id             uuid        PRIMARY KEY,
    username       text        NOT NULL,
    email          text        NOT NULL,
    password_hash  text        NOT NULL,
    role           text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    -- Access tokens carry the generation; raising it ends every token at once (logout everywhere, new password).
    token_generation bigint    NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    deleted_at     timestamptz
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE refresh_tokens (
    id          uuid        PRIMARY KEY,
    family_id   uuid        NOT NULL,
    user_id     uuid        NOT NULL REFERENCES users (id),
    token_hash  text        NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    revoked_at  timestamptz
);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (user_id);

-- System accounts have posted NULL and are never locked or updated: their balance is the sum of their entries.
CREATE TABLE accounts (
    id            uuid        PRIMARY KEY,
    kind          text        NOT NULL CHECK (kind IN ('user', 'system')),
    user_id       uuid        REFERENCES users (id),
    code          text,
    name          text        NOT NULL DEFAULT '',
    currency      text        NOT NULL CHECK (length(currency) = 3),
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen', 'closed')),
    posted        bigint,
    held          bigint      NOT NULL DEFAULT 0,
    entry_seq     bigint      NOT NULL DEFAULT 0,
    last_entry_at timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    closed_at     timestamptz,
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
    id                     uuid        PRIMARY KEY,
    type                   text        NOT NULL CHECK (type IN ('deposit', 'withdraw', 'transfer', 'refund', 'refund_reversal',
                                           'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee', 'unmatched')),
    status                 text        NOT NULL CHECK (status IN ('initiated', 'pending', 'completed', 'failed')),
    version                integer     NOT NULL CHECK (version >= 1),
    user_id                uuid        REFERENCES users (id),
    account_id             uuid        REFERENCES accounts (id),
    counterparty_account_id uuid       REFERENCES accounts (id),
    amount                 bigint      NOT NULL CHECK (amount > 0),
    currency               text        NOT NULL CHECK (length(currency) = 3),
    -- What the account was or will be changed by, in its own currency; the other side's for a transfer.
    posted_amount          bigint      CHECK (posted_amount > 0),
    posted_currency        text        CHECK (length(posted_currency) = 3),
    counterparty_amount    bigint      CHECK (counterparty_amount > 0),
    counterparty_currency  text        CHECK (length(counterparty_currency) = 3),
    received_amount        bigint      CHECK (received_amount >= 0),
    conversion             text,
    provider               text        NOT NULL,
    payment_id             text,
    payment_flow           text        NOT NULL DEFAULT '',
    next_action            text,
    money_source           text        NOT NULL DEFAULT '',
    external_target        text,
    linked_transaction_id  uuid        REFERENCES transactions (id),
    failure_code           text,
    failure_message        text,
    metadata               text        NOT NULL DEFAULT '{}',
    -- The step of an open transaction that is due: the number of the provider attempt, when to look at it again,
    -- how often that was done, and a fence that a slower worker's write runs into.
    attempt                integer     NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    tries                  integer     NOT NULL DEFAULT 0,
    fence                  bigint      NOT NULL DEFAULT 0,
    next_attempt_at        timestamptz,
    expires_at             timestamptz,
    request_id             text        NOT NULL DEFAULT '',
    trace_parent           text        NOT NULL DEFAULT '',
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    completed_at           timestamptz,
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
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    line           smallint    NOT NULL CHECK (line >= 1),
    account_id     uuid        NOT NULL,
    currency       text        NOT NULL CHECK (length(currency) = 3),
    amount         bigint      NOT NULL CHECK (amount <> 0),
    -- The user account's own sequence number and the balance after the entry; NULL on system accounts.
    account_seq    bigint,
    balance_after  bigint,
    -- The account that a receivable is owed by.
    debtor_id      uuid,
    posted_at      timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, line),
    CONSTRAINT entries_seq_check CHECK ((account_seq IS NULL) = (balance_after IS NULL)),
    CONSTRAINT entries_balance_check CHECK (balance_after IS NULL OR balance_after >= 0)
);
CREATE UNIQUE INDEX entries_account_seq_key ON entries (account_id, account_seq) WHERE account_seq IS NOT NULL;
CREATE INDEX entries_account_time_idx ON entries (account_id, posted_at);

CREATE TABLE holds (
    transaction_id uuid        PRIMARY KEY REFERENCES transactions (id),
    account_id     uuid        NOT NULL REFERENCES accounts (id),
    currency       text        NOT NULL CHECK (length(currency) = 3),
    amount         bigint      NOT NULL CHECK (amount > 0),
    captured       bigint      NOT NULL DEFAULT 0 CHECK (captured >= 0),
    released       bigint      NOT NULL DEFAULT 0 CHECK (released >= 0),
    status         text        NOT NULL CHECK (status IN ('active', 'ended')),
    created_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    CONSTRAINT holds_sum_check CHECK (captured + released <= amount),
    CONSTRAINT holds_ended_check CHECK (status <> 'ended' OR captured + released = amount)
);
CREATE INDEX holds_active_idx ON holds (account_id) WHERE status = 'active';

-- Append-only but for position, which the relay sets once.
CREATE TABLE payment_events (
    id             uuid        PRIMARY KEY,
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    seq            integer     NOT NULL CHECK (seq >= 1),
    from_status    text,
    to_status      text        NOT NULL CHECK (to_status IN ('initiated', 'pending', 'completed', 'failed')),
    cause          text        NOT NULL,
    payload        text        NOT NULL,
    at             timestamptz NOT NULL,
    position       bigint      CHECK (position >= 1)
);
CREATE UNIQUE INDEX payment_events_seq_key ON payment_events (transaction_id, seq);
CREATE UNIQUE INDEX payment_events_position_key ON payment_events (position) WHERE position IS NOT NULL;
CREATE INDEX payment_events_waiting_idx ON payment_events (at) WHERE position IS NULL;

-- The key is a 16-byte hash of user and key and stays for ever; the answer is kept for its retention.
CREATE TABLE idempotency_keys (
    key_hash        uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id),
    fingerprint     text        NOT NULL,
    resource_id     uuid        NOT NULL,
    fence           bigint      NOT NULL DEFAULT 1,
    locked_until    timestamptz,
    response_status integer,
    response_body   text,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT idempotency_keys_finished_check CHECK ((finished_at IS NULL) OR (locked_until IS NULL))
);
CREATE UNIQUE INDEX idempotency_keys_resource_key ON idempotency_keys (resource_id);

CREATE TABLE inbox (
    id              uuid        PRIMARY KEY,
    provider        text        NOT NULL,
    event_id        text        NOT NULL,
    kind            text        NOT NULL,
    type            text        NOT NULL,
    payment_id      text        NOT NULL DEFAULT '',
    transaction_id  uuid,
    payload         text        NOT NULL,
    status          text        NOT NULL CHECK (status IN ('received', 'processed', 'ignored', 'parked', 'quarantined', 'dead', 'discarded')),
    reason          text        NOT NULL DEFAULT '',
    tries           integer     NOT NULL DEFAULT 0,
    fence           bigint      NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    trace_parent    text        NOT NULL DEFAULT '',
    received_at     timestamptz NOT NULL,
    processed_at    timestamptz,
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
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (provider, ref, effect)
);

CREATE TABLE provider_calls (
    id             uuid        PRIMARY KEY,
    transaction_id uuid        NOT NULL REFERENCES transactions (id),
    attempt        integer     NOT NULL,
    operation      text        NOT NULL,
    outcome        text        NOT NULL,
    trace_parent   text        NOT NULL DEFAULT '',
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL
);
CREATE INDEX provider_calls_transaction_idx ON provider_calls (transaction_id);

CREATE TABLE dead_letters (
    id           uuid        PRIMARY KEY,
    source       text        NOT NULL CHECK (source IN ('inbox')),
    source_id    uuid        NOT NULL,
    reason       text        NOT NULL,
    last_error   text        NOT NULL,
    tries        integer     NOT NULL,
    payload      text        NOT NULL,
    status       text        NOT NULL CHECK (status IN ('open', 'redriven', 'discarded')),
    created_at   timestamptz NOT NULL,
    settled_at   timestamptz,
    CONSTRAINT dead_letters_settled_check CHECK ((status = 'open') = (settled_at IS NULL))
);
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_id) WHERE status = 'open';

CREATE TABLE reviews (
    id             uuid        PRIMARY KEY,
    kind           text        NOT NULL,
    transaction_id uuid        REFERENCES transactions (id),
    inbox_id       uuid,
    detail         text        NOT NULL,
    status         text        NOT NULL CHECK (status IN ('open', 'settled')),
    created_at     timestamptz NOT NULL,
    settled_at     timestamptz
);
CREATE INDEX reviews_open_idx ON reviews (created_at) WHERE status = 'open';
CREATE INDEX reviews_transaction_idx ON reviews (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE audit (
    id         uuid        PRIMARY KEY,
    actor      text        NOT NULL,
    action     text        NOT NULL,
    subject    text        NOT NULL,
    reason     text        NOT NULL DEFAULT '',
    detail     text        NOT NULL DEFAULT '',
    ip         text        NOT NULL DEFAULT '',
    request_id text        NOT NULL DEFAULT '',
    at         timestamptz NOT NULL
);

-- A fenced lease: whoever holds it writes with its fence, and a holder that overslept writes to zero rows.
CREATE TABLE leases (
    name       text        PRIMARY KEY,
    holder     text        NOT NULL,
    fence      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE subscribers (
    name       text        PRIMARY KEY,
    position   bigint      NOT NULL CHECK (position >= 0),
    updated_at timestamptz NOT NULL
);

-- The relay's counter: the last position given, and the fence of the relay that gave it.
CREATE TABLE log_head (
    id       smallint PRIMARY KEY CHECK (id = 1),
    position bigint   NOT NULL CHECK (position >= 0),
    fence    bigint   NOT NULL
);
INSERT INTO log_head (id, position, fence) VALUES (1, 0, 0);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION allow_position_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.position IS NOT NULL OR NEW.position IS NULL
       OR ROW(NEW.id, NEW.transaction_id, NEW.seq, NEW.from_status, NEW.to_status, NEW.cause, NEW.payload, NEW.at)
          IS DISTINCT FROM ROW(OLD.id, OLD.transaction_id, OLD.seq, OLD.from_status, OLD.to_status, OLD.cause, OLD.payload, OLD.at) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_no_truncate BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_events_no_delete BEFORE DELETE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_events_no_truncate BEFORE TRUNCATE ON payment_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_events_append_only BEFORE UPDATE ON payment_events FOR EACH ROW EXECUTE FUNCTION allow_position_once();
CREATE TRIGGER effects_append_only BEFORE UPDATE OR DELETE ON effects FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TABLE log_head, subscribers, leases, audit, reviews, dead_letters, provider_calls, effects, inbox, idempotency_keys,
    payment_events, holds, entries, transactions, accounts, refresh_tokens, users;
DROP FUNCTION refuse_change, allow_position_once;
