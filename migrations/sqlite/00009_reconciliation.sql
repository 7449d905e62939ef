-- +goose Up
-- The twin of postgres/00009_reconciliation.sql.
-- What a person decided on a review, and the transaction that booked it. No check can be added to a table that is there, so it
-- is made anew.
CREATE TABLE reviews_new (
    id             text        NOT NULL PRIMARY KEY,
    kind           text        NOT NULL,
    transaction_id text        REFERENCES transactions (id),
    inbox_id       text,
    detail         text        NOT NULL,
    status         text        NOT NULL CONSTRAINT reviews_status_check CHECK (status IN ('open', 'settled')),
    created_at     timestamp   NOT NULL,
    settled_at     timestamp,
    outcome        text        NOT NULL DEFAULT '',
    settled_by     text        NOT NULL DEFAULT '',
    settled_why    text        NOT NULL DEFAULT '',
    settlement_id  text        REFERENCES transactions (id),
    CONSTRAINT reviews_outcome_check CHECK ((status = 'settled') = (outcome <> '')),
    CONSTRAINT reviews_settled_check CHECK ((status = 'settled') = (settled_at IS NOT NULL))
);
INSERT INTO reviews_new (id, kind, transaction_id, inbox_id, detail, status, created_at, settled_at)
    SELECT id, kind, transaction_id, inbox_id, detail, status, created_at, settled_at FROM reviews;
DROP TABLE reviews;
ALTER TABLE reviews_new RENAME TO reviews;
CREATE INDEX reviews_open_idx ON reviews (created_at) WHERE status = 'open';
CREATE INDEX reviews_transaction_idx ON reviews (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX reviews_settlement_idx ON reviews (settlement_id) WHERE settlement_id IS NOT NULL;

-- How far the events that a provider lists are applied. The mark moves behind what it covers, and the fence is that of the server
-- that moved it.
CREATE TABLE provider_marks (
    provider  text      NOT NULL PRIMARY KEY,
    mark      text      NOT NULL,
    fence     integer   NOT NULL,
    listed_at timestamp NOT NULL
);

-- What an operator asked for: a running server does it and says so.
CREATE TABLE reconciliation_requests (
    id           text        NOT NULL PRIMARY KEY,
    requested_at timestamp   NOT NULL,
    done_at      timestamp,
    failure      text        NOT NULL DEFAULT ''
);
CREATE INDEX reconciliation_requests_open_idx ON reconciliation_requests (requested_at) WHERE done_at IS NULL;

-- One row each time that our clearing accounts were compared with a provider's own list.
CREATE TABLE reconciliation_runs (
    id          text      NOT NULL PRIMARY KEY,
    provider    text      NOT NULL,
    started_at  timestamp NOT NULL,
    ended_at    timestamp NOT NULL,
    matched     integer   NOT NULL CONSTRAINT reconciliation_runs_matched_check CHECK (matched >= 0),
    under_way   integer   NOT NULL CONSTRAINT reconciliation_runs_under_way_check CHECK (under_way >= 0),
    differences integer   NOT NULL CONSTRAINT reconciliation_runs_differences_check CHECK (differences >= 0),
    found       integer   NOT NULL CONSTRAINT reconciliation_runs_found_check CHECK (found >= 0),
    closed      integer   NOT NULL CONSTRAINT reconciliation_runs_closed_check CHECK (closed >= 0)
);
CREATE INDEX reconciliation_runs_provider_idx ON reconciliation_runs (provider, started_at);

-- What the two sides did not agree on: at most one open row for each line. A side that has no such line is NULL.
CREATE TABLE reconciliation_differences (
    id          text      NOT NULL PRIMARY KEY,
    provider    text      NOT NULL,
    effect      text      NOT NULL,
    ref         text      NOT NULL,
    currency    text      NOT NULL CONSTRAINT reconciliation_differences_currency_check CHECK (length(currency) = 3),
    ours        integer,
    theirs      integer,
    run_id      text      NOT NULL REFERENCES reconciliation_runs (id),
    review_id   text      NOT NULL REFERENCES reviews (id),
    created_at  timestamp NOT NULL,
    seen_at     timestamp NOT NULL,
    closed_at   timestamp,
    CONSTRAINT reconciliation_differences_sides_check CHECK (ours IS NOT NULL OR theirs IS NOT NULL)
);
CREATE UNIQUE INDEX reconciliation_differences_open_key ON reconciliation_differences (provider, effect, ref, currency) WHERE closed_at IS NULL;
CREATE INDEX reconciliation_differences_review_idx ON reconciliation_differences (review_id);

-- +goose Down
DROP TABLE reconciliation_differences;
DROP TABLE reconciliation_runs;
DROP TABLE reconciliation_requests;
DROP TABLE provider_marks;
CREATE TABLE reviews_old (
    id             text        NOT NULL PRIMARY KEY,
    kind           text        NOT NULL,
    transaction_id text        REFERENCES transactions (id),
    inbox_id       text,
    detail         text        NOT NULL,
    status         text        NOT NULL CONSTRAINT reviews_status_check CHECK (status IN ('open', 'settled')),
    created_at     timestamp   NOT NULL,
    settled_at     timestamp
);
INSERT INTO reviews_old (id, kind, transaction_id, inbox_id, detail, status, created_at, settled_at)
    SELECT id, kind, transaction_id, inbox_id, detail, status, created_at, settled_at FROM reviews;
DROP TABLE reviews;
ALTER TABLE reviews_old RENAME TO reviews;
CREATE INDEX reviews_open_idx ON reviews (created_at) WHERE status = 'open';
CREATE INDEX reviews_transaction_idx ON reviews (transaction_id) WHERE transaction_id IS NOT NULL;
