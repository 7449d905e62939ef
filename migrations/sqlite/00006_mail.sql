-- +goose Up
-- The twin of postgres/00006_mail.sql.
-- The switch of a user: 0 sends none.
ALTER TABLE users ADD COLUMN email_notifications integer NOT NULL DEFAULT 1
    CONSTRAINT users_email_notifications_check CHECK (email_notifications IN (0, 1));

-- A message about an event, once for each channel. Who it goes to and what it says is found when it is sent.
CREATE TABLE mails (
    id              text        NOT NULL PRIMARY KEY,
    event_id        text        NOT NULL,
    channel         text        NOT NULL CONSTRAINT mails_channel_check CHECK (channel IN ('email')),
    user_id         text        NOT NULL REFERENCES users (id),
    transaction_id  text        NOT NULL REFERENCES transactions (id),
    kind            text        NOT NULL CONSTRAINT mails_kind_check CHECK (kind IN ('completed', 'failed', 'refund', 'payout_return')),
    status          text        NOT NULL CONSTRAINT mails_status_check CHECK (status IN ('pending', 'sent', 'unwanted', 'dead', 'discarded')),
    tries           integer     NOT NULL DEFAULT 0,
    fence           integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamp,
    last_error      text        NOT NULL DEFAULT '',
    created_at      timestamp   NOT NULL,
    finished_at     timestamp,
    CONSTRAINT mails_work_check CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT mails_finished_check CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX mails_event_key ON mails (event_id, channel);
CREATE INDEX mails_due_idx ON mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- +goose Down
DROP TABLE mails;
ALTER TABLE users DROP COLUMN email_notifications;
