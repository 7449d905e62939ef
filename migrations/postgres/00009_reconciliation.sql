-- +goose Up
-- How far the events that a provider lists are applied. The mark moves behind what it covers, and the fence is that of the server
-- that moved it.
CREATE TABLE provider_marks (
    provider  text        PRIMARY KEY,
    mark      text        NOT NULL,
    fence     bigint      NOT NULL,
    listed_at timestamptz NOT NULL
);

-- What an operator asked for: a running server does it and says so.
CREATE TABLE reconciliation_requests (
    id           uuid        PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    done_at      timestamptz,
    failure      text        NOT NULL DEFAULT ''
);
CREATE INDEX reconciliation_requests_open_idx ON reconciliation_requests (requested_at) WHERE done_at IS NULL;

-- One row each time that our clearing accounts were compared with a provider's own list.
CREATE TABLE reconciliation_runs (
    id          uuid        PRIMARY KEY,
    provider    text        NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    matched     bigint      NOT NULL CHECK (matched >= 0),
    under_way   bigint      NOT NULL CHECK (under_way >= 0),
    differences bigint      NOT NULL CHECK (differences >= 0),
    found       bigint      NOT NULL CHECK (found >= 0),
    closed      bigint      NOT NULL CHECK (closed >= 0)
);
CREATE INDEX reconciliation_runs_provider_idx ON reconciliation_runs (provider, started_at);

-- What the two sides did not agree on: at most one open row for each line. A side that has no such line is NULL.
CREATE TABLE reconciliation_differences (
    id          uuid        PRIMARY KEY,
    provider    text        NOT NULL,
    effect      text        NOT NULL,
    ref         text        NOT NULL,
    currency    text        NOT NULL CHECK (length(currency) = 3),
    ours        bigint,
    theirs      bigint,
    run_id      uuid        NOT NULL REFERENCES reconciliation_runs (id),
    review_id   uuid        NOT NULL REFERENCES reviews (id),
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    closed_at   timestamptz,
    CONSTRAINT reconciliation_differences_sides_check CHECK (ours IS NOT NULL OR theirs IS NOT NULL)
);
CREATE UNIQUE INDEX reconciliation_differences_open_key ON reconciliation_differences (provider, effect, ref, currency) WHERE closed_at IS NULL;
CREATE INDEX reconciliation_differences_review_idx ON reconciliation_differences (review_id);

-- What a person decided on a review, and the transaction that booked it.
ALTER TABLE reviews
    ADD COLUMN outcome       text NOT NULL DEFAULT '',
    ADD COLUMN settled_by    text NOT NULL DEFAULT '',
    ADD COLUMN settled_why   text NOT NULL DEFAULT '',
    ADD COLUMN settlement_id uuid REFERENCES transactions (id),
    ADD CONSTRAINT reviews_outcome_check CHECK ((status = 'settled') = (outcome <> '')),
    ADD CONSTRAINT reviews_settled_check CHECK ((status = 'settled') = (settled_at IS NOT NULL));
CREATE INDEX reviews_settlement_idx ON reviews (settlement_id) WHERE settlement_id IS NOT NULL;

-- +goose Down
DROP INDEX reviews_settlement_idx;
DROP TABLE reconciliation_differences, reconciliation_runs, reconciliation_requests, provider_marks;
ALTER TABLE reviews
    DROP CONSTRAINT reviews_outcome_check, DROP CONSTRAINT reviews_settled_check,
    DROP COLUMN outcome, DROP COLUMN settled_by, DROP COLUMN settled_why, DROP COLUMN settlement_id;
