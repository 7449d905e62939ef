-- +goose Up
-- The twin of postgres/00007_dead_letters.sql. A check cannot be changed here, so the table is made anew.
CREATE TABLE dead_letters_new (
    id              text        NOT NULL PRIMARY KEY,
    source          text        NOT NULL CONSTRAINT dead_letters_source_check CHECK (source IN ('inbox', 'subscriber', 'delivery')),
    source_id       text        NOT NULL,
    reason          text        NOT NULL,
    last_error      text        NOT NULL,
    tries           integer     NOT NULL,
    payload         text        NOT NULL,
    status          text        NOT NULL CONSTRAINT dead_letters_status_check CHECK (status IN ('open', 'redriven', 'discarded')),
    created_at      timestamp   NOT NULL,
    settled_at      timestamp,
    source_name     text        NOT NULL DEFAULT '',
    transaction_id  text,
    settled_by      text        NOT NULL DEFAULT '',
    settled_why     text        NOT NULL DEFAULT '',
    -- When a redriven event is handed to its subscriber again, and the fence that a slower worker's write runs into.
    next_attempt_at timestamp,
    fence           integer     NOT NULL DEFAULT 0,
    CONSTRAINT dead_letters_settled_check CHECK ((status = 'open') = (settled_at IS NULL)),
    CONSTRAINT dead_letters_work_check CHECK (next_attempt_at IS NULL OR (source = 'subscriber' AND status = 'redriven'))
);
INSERT INTO dead_letters_new (id, source, source_id, reason, last_error, tries, payload, status, created_at, settled_at)
    SELECT id, source, source_id, reason, last_error, tries, payload, status, created_at, settled_at FROM dead_letters;
DROP TABLE dead_letters;
ALTER TABLE dead_letters_new RENAME TO dead_letters;
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_name, source_id) WHERE status = 'open';
CREATE INDEX dead_letters_due_idx ON dead_letters (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- +goose Down
DELETE FROM dead_letters WHERE source <> 'inbox';
CREATE TABLE dead_letters_old (
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
INSERT INTO dead_letters_old (id, source, source_id, reason, last_error, tries, payload, status, created_at, settled_at)
    SELECT id, source, source_id, reason, last_error, tries, payload, status, created_at, settled_at FROM dead_letters;
DROP TABLE dead_letters;
ALTER TABLE dead_letters_old RENAME TO dead_letters;
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_id) WHERE status = 'open';
