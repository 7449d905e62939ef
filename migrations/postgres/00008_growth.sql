-- +goose Up
-- An account's transactions are listed by time, newest first, so that a range of time is a range of the index: by id alone, an
-- old range was found by walking through everything since. The index ascends, as time does, and is read backwards: pages to
-- which the newest row of an account is appended stay full, those to which it is prepended end half empty.
DROP INDEX transactions_account_idx;
DROP INDEX transactions_counterparty_idx;
CREATE INDEX transactions_account_idx ON transactions (account_id, created_at, id);
CREATE INDEX transactions_counterparty_idx ON transactions (counterparty_account_id, created_at, id) WHERE counterparty_account_id IS NOT NULL;
-- Every start of the program asks whether there is an administrator.
CREATE INDEX users_admin_idx ON users (id) WHERE role = 'admin';

-- +goose Down
DROP INDEX users_admin_idx;
DROP INDEX transactions_account_idx;
DROP INDEX transactions_counterparty_idx;
CREATE INDEX transactions_account_idx ON transactions (account_id, id DESC);
CREATE INDEX transactions_counterparty_idx ON transactions (counterparty_account_id, id DESC) WHERE counterparty_account_id IS NOT NULL;
