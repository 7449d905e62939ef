-- +goose Up
-- The switch of a user: 0 sends none.
ALTER TABLE users ADD COLUMN email_notifications smallint NOT NULL DEFAULT 1
    CONSTRAINT users_email_notifications_check CHECK (email_notifications IN (0, 1));

-- A message about an event, once for each channel. Who it goes to and what it says is found when it is sent.
CREATE TABLE mails (
    id              uuid        PRIMARY KEY,
    event_id        uuid        NOT NULL,
    channel         text        NOT NULL CHECK (channel IN ('email')),
    user_id         uuid        NOT NULL REFERENCES users (id),
    transaction_id  uuid        NOT NULL REFERENCES transactions (id),
    kind            text        NOT NULL CHECK (kind IN ('completed', 'failed', 'refund', 'payout_return')),
    status          text        NOT NULL CHECK (status IN ('pending', 'sent', 'unwanted', 'dead', 'discarded')),
    tries           integer     NOT NULL DEFAULT 0,
    fence           bigint      NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error      text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT mails_work_check CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT mails_finished_check CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX mails_event_key ON mails (event_id, channel);
CREATE INDEX mails_due_idx ON mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- +goose Down
DROP TABLE mails;
ALTER TABLE users DROP COLUMN email_notifications;
