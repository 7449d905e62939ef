-- +goose Up
-- The events of one commit get their positions together, as a row of their own: the row of an event is written once and
-- never again. The id is drawn while the commit holds its locks, so of two commits that touch one transaction the later
-- one has the higher id.
CREATE TABLE event_batches (
    id       integer   NOT NULL PRIMARY KEY AUTOINCREMENT,
    events   integer   NOT NULL CONSTRAINT event_batches_events_check CHECK (events >= 1),
    at       timestamp NOT NULL,
    -- The position of the first of them; NULL until the relay gives it.
    position integer   CONSTRAINT event_batches_position_check CHECK (position >= 1)
);

DROP TRIGGER payment_events_no_delete;
DROP TRIGGER payment_events_append_only;
CREATE TABLE numbered_events (
    batch_id       integer     NOT NULL,
    n              integer     NOT NULL CONSTRAINT payment_events_n_check CHECK (n >= 1),
    id             text        NOT NULL,
    transaction_id text        NOT NULL REFERENCES transactions (id),
    seq            integer     NOT NULL CONSTRAINT payment_events_seq_check CHECK (seq >= 1),
    from_status    text,
    to_status      text        NOT NULL CONSTRAINT payment_events_to_status_check CHECK (to_status IN ('initiated', 'pending', 'completed', 'failed')),
    cause          text        NOT NULL,
    payload        text        NOT NULL,
    at             timestamp   NOT NULL,
    PRIMARY KEY (batch_id, n)
) WITHOUT ROWID;
INSERT INTO numbered_events (batch_id, n, id, transaction_id, seq, from_status, to_status, cause, payload, at)
    SELECT ROW_NUMBER() OVER (ORDER BY position IS NULL, position, at, transaction_id, seq), 1, id, transaction_id, seq, from_status, to_status, cause, payload, at
    FROM payment_events;
INSERT INTO event_batches (id, events, at, position) SELECT n.batch_id, 1, n.at, e.position FROM numbered_events n JOIN payment_events e ON e.id = n.id;
DROP TABLE payment_events;
ALTER TABLE numbered_events RENAME TO payment_events;
CREATE UNIQUE INDEX payment_events_seq_key ON payment_events (transaction_id, seq);
CREATE UNIQUE INDEX event_batches_position_key ON event_batches (position) WHERE position IS NOT NULL;
CREATE INDEX event_batches_waiting_idx ON event_batches (id) WHERE position IS NULL;
-- +goose StatementBegin
CREATE TRIGGER payment_events_no_delete BEFORE DELETE ON payment_events
BEGIN
    SELECT RAISE(ABORT, 'payment_events is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payment_events_append_only BEFORE UPDATE ON payment_events
BEGIN
    SELECT RAISE(ABORT, 'payment_events is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_batches_no_delete BEFORE DELETE ON event_batches
BEGIN
    SELECT RAISE(ABORT, 'event_batches is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER event_batches_append_only BEFORE UPDATE ON event_batches
WHEN OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.id IS NOT OLD.id OR NEW.events IS NOT OLD.events OR NEW.at IS NOT OLD.at
BEGIN
    SELECT RAISE(ABORT, 'event_batches is append-only');
END;
-- +goose StatementEnd

-- A key is written with every request that moves money. Its hash says whose it is; the row of its user need not be looked
-- up for it, and nobody looks for a key by what it stands for.
CREATE TABLE plain_keys (
    key_hash        text        NOT NULL PRIMARY KEY,
    user_id         text        NOT NULL,
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
INSERT INTO plain_keys SELECT key_hash, user_id, fingerprint, resource_id, fence, locked_until, response_status, response_body, created_at, finished_at FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE plain_keys RENAME TO idempotency_keys;

-- +goose Down
CREATE TABLE owned_keys (
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
INSERT INTO owned_keys SELECT key_hash, user_id, fingerprint, resource_id, fence, locked_until, response_status, response_body, created_at, finished_at FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE owned_keys RENAME TO idempotency_keys;
CREATE UNIQUE INDEX idempotency_keys_resource_key ON idempotency_keys (resource_id);
DROP TRIGGER payment_events_no_delete;
DROP TRIGGER payment_events_append_only;
CREATE TABLE positioned_events (
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
INSERT INTO positioned_events SELECT e.id, e.transaction_id, e.seq, e.from_status, e.to_status, e.cause, e.payload, e.at, b.position + e.n - 1
    FROM payment_events e JOIN event_batches b ON b.id = e.batch_id;
DROP TABLE payment_events;
ALTER TABLE positioned_events RENAME TO payment_events;
CREATE UNIQUE INDEX payment_events_seq_key ON payment_events (transaction_id, seq);
CREATE UNIQUE INDEX payment_events_position_key ON payment_events (position) WHERE position IS NOT NULL;
CREATE INDEX payment_events_waiting_idx ON payment_events (at) WHERE position IS NULL;
DROP TABLE event_batches;
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
