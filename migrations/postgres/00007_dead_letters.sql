-- +goose Up
-- One table for all that could not be worked off: a provider's event (inbox), an event of the log that a subscriber cannot
-- take (subscriber, named by source_name), a message that could not be delivered (delivery, source_name is its channel).
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_source_check;
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_source_check CHECK (source IN ('inbox', 'subscriber', 'delivery'));
ALTER TABLE dead_letters
    ADD COLUMN source_name     text   NOT NULL DEFAULT '',
    ADD COLUMN transaction_id  uuid,
    ADD COLUMN settled_by      text   NOT NULL DEFAULT '',
    ADD COLUMN settled_why     text   NOT NULL DEFAULT '',
    -- When a redriven event is handed to its subscriber again, and the fence that a slower worker's write runs into.
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN fence           bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT dead_letters_work_check CHECK (next_attempt_at IS NULL OR (source = 'subscriber' AND status = 'redriven'));
DROP INDEX dead_letters_open_key;
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_name, source_id) WHERE status = 'open';
CREATE INDEX dead_letters_due_idx ON dead_letters (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- +goose Down
DELETE FROM dead_letters WHERE source <> 'inbox';
DROP INDEX dead_letters_due_idx;
DROP INDEX dead_letters_open_key;
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_work_check, DROP CONSTRAINT dead_letters_source_check;
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_source_check CHECK (source IN ('inbox'));
ALTER TABLE dead_letters
    DROP COLUMN source_name, DROP COLUMN transaction_id, DROP COLUMN settled_by, DROP COLUMN settled_why,
    DROP COLUMN next_attempt_at, DROP COLUMN fence;
CREATE UNIQUE INDEX dead_letters_open_key ON dead_letters (source, source_id) WHERE status = 'open';
