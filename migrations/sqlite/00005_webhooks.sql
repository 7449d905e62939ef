-- +goose Up
-- The twin of postgres/00005_webhooks.sql.
-- next_attempt_at is when the endpoint has something to be sent: NULL for nothing, the end of the lease while a worker has it.
-- tries counts how often it was claimed since it was last given back; the fence is for a worker whose lease has run out.
CREATE TABLE webhook_endpoints (
    id              text        NOT NULL PRIMARY KEY,
    user_id         text        NOT NULL REFERENCES users (id),
    url             text        NOT NULL,
    events          text        NOT NULL,
    description     text        NOT NULL DEFAULT '',
    status          text        NOT NULL CONSTRAINT webhook_endpoints_status_check CHECK (status IN ('enabled', 'disabled', 'deleted')),
    disabled_reason text        NOT NULL DEFAULT '',
    failures        integer     NOT NULL DEFAULT 0 CONSTRAINT webhook_endpoints_failures_check CHECK (failures >= 0),
    resume_at       timestamp,
    tries           integer     NOT NULL DEFAULT 0,
    fence           integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamp,
    created_at      timestamp   NOT NULL,
    updated_at      timestamp   NOT NULL,
    CONSTRAINT webhook_endpoints_work_check CHECK (status = 'enabled' OR next_attempt_at IS NULL),
    CONSTRAINT webhook_endpoints_reason_check CHECK ((status = 'disabled') = (disabled_reason <> ''))
);
CREATE INDEX webhook_endpoints_user_idx ON webhook_endpoints (user_id, id DESC);
CREATE INDEX webhook_endpoints_due_idx ON webhook_endpoints (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- Encrypted. Those without expires_at or before it sign.
CREATE TABLE webhook_secrets (
    id          text        NOT NULL PRIMARY KEY,
    endpoint_id text        NOT NULL REFERENCES webhook_endpoints (id),
    sealed      text        NOT NULL,
    created_at  timestamp   NOT NULL,
    expires_at  timestamp
);
CREATE INDEX webhook_secrets_endpoint_idx ON webhook_secrets (endpoint_id, id DESC);

CREATE TABLE webhook_deliveries (
    id              text        NOT NULL PRIMARY KEY,
    endpoint_id     text        NOT NULL REFERENCES webhook_endpoints (id),
    event_id        text        NOT NULL,
    transaction_id  text        NOT NULL,
    event           text        NOT NULL,
    body            text        NOT NULL,
    trace_parent    text        NOT NULL DEFAULT '',
    status          text        NOT NULL CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('pending', 'delivered', 'dead', 'canceled')),
    since           timestamp   NOT NULL,
    tries           integer     NOT NULL DEFAULT 0,
    attempted       integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamp,
    created_at      timestamp   NOT NULL,
    finished_at     timestamp,
    CONSTRAINT webhook_deliveries_work_check CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_finished_check CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX webhook_deliveries_event_key ON webhook_deliveries (endpoint_id, event_id);
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, id DESC);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_since_idx ON webhook_deliveries (since);

CREATE TABLE webhook_attempts (
    delivery_id   text        NOT NULL REFERENCES webhook_deliveries (id),
    number        integer     NOT NULL CONSTRAINT webhook_attempts_number_check CHECK (number >= 1),
    url           text        NOT NULL,
    header        text        NOT NULL,
    started_at    timestamp   NOT NULL,
    took_us       integer     NOT NULL CONSTRAINT webhook_attempts_took_us_check CHECK (took_us >= 0),
    answer_status integer,
    content_type  text        NOT NULL DEFAULT '',
    answer_bytes  integer     NOT NULL DEFAULT 0,
    failure       text        NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, number)
);

-- +goose Down
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_secrets;
DROP TABLE webhook_endpoints;
