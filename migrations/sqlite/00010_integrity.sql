-- +goose Up
-- The twin of postgres/00010_integrity.sql.
-- How far the log is proved, and when the whole books were last. A new installation of the proof begins at the end of the log:
-- the first pass over all books covers what was before.
CREATE TABLE integrity (
    id           integer     NOT NULL PRIMARY KEY CONSTRAINT integrity_id_check CHECK (id = 1),
    position     integer     NOT NULL CONSTRAINT integrity_position_check CHECK (position >= 0),
    fence        integer     NOT NULL DEFAULT 0,
    proved_at    timestamp,
    full_at      timestamp,
    full_took_ms integer     NOT NULL DEFAULT 0
);
INSERT INTO integrity (id, position) SELECT 1, position FROM log_head WHERE id = 1;

-- An invariant that did not hold somewhere. accounts are those to freeze, comma-separated; handled_at is when that and the
-- alert were done, cleared_at when the invariant was seen to hold again.
CREATE TABLE integrity_findings (
    id             text        NOT NULL PRIMARY KEY,
    invariant      text        NOT NULL,
    subject        text        NOT NULL,
    source         text        NOT NULL CONSTRAINT integrity_findings_source_check CHECK (source IN ('log', 'full')),
    detail         text        NOT NULL,
    account_id     text,
    transaction_id text,
    accounts       text        NOT NULL DEFAULT '',
    found_at       timestamp NOT NULL,
    handled_at     timestamp,
    cleared_at     timestamp
);
CREATE UNIQUE INDEX integrity_findings_open_key ON integrity_findings (invariant, subject) WHERE cleared_at IS NULL;

-- The oldest program that may work on this schema, by the last migration that it knows. A migration that only adds leaves it as it
-- is; one that older programs cannot live with raises it.
CREATE TABLE schema_floor (
    id     integer NOT NULL PRIMARY KEY CONSTRAINT schema_floor_id_check CHECK (id = 1),
    oldest integer NOT NULL
);
INSERT INTO schema_floor (id, oldest) VALUES (1, 8);

-- +goose Down
DROP TABLE schema_floor;
DROP TABLE integrity_findings;
DROP TABLE integrity;
