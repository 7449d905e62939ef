-- +goose Up
-- The open sessions of a user: each has one token that was neither used nor revoked.
CREATE INDEX refresh_tokens_open_idx ON refresh_tokens (user_id, family_id) WHERE used_at IS NULL AND revoked_at IS NULL;

-- A mail about an act on an identity, to an address as it was at the act. The address is taken out when the mail is settled.
CREATE TABLE notices (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users (id),
    kind            text        NOT NULL CONSTRAINT notices_kind_check CHECK (kind IN ('email_changed', 'password_changed',
                        'payout_account_added', 'payout_target_used')),
    address         text        NOT NULL,
    status          text        NOT NULL CONSTRAINT notices_status_check CHECK (status IN ('pending', 'sent', 'dead')),
    tries           integer     NOT NULL DEFAULT 0,
    fence           bigint      NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error      text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT notices_work_check CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT notices_finished_check CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX notices_user_idx ON notices (user_id, created_at);
CREATE INDEX notices_due_idx ON notices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- Where a user has had money paid out to, as a keyed hash: so that a target is known again, and nothing is told of it.
CREATE TABLE payout_targets (
    user_id       uuid        NOT NULL REFERENCES users (id),
    fingerprint   text        NOT NULL,
    first_used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, fingerprint)
);

-- +goose Down
DROP TABLE payout_targets;
DROP TABLE notices;
DROP INDEX refresh_tokens_open_idx;
