package database_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// book is one completed deposit with an entry on each side, written row by row.
type book struct {
	user, account, system, transaction uuid.UUID
}

func writeBook(t *testing.T, db *gorm.DB) book {
	t.Helper()
	b := book{user: uuid.New(), account: uuid.New(), system: uuid.New(), transaction: uuid.New()}
	statements := []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, ?, ?, 'x', ?, ?)`,
			[]any{b.user, b.user.String(), b.user.String(), noon, noon}},
		{`INSERT INTO accounts (id, kind, user_id, currency, posted, created_at, updated_at) VALUES (?, 'user', ?, 'EUR', 100, ?, ?)`,
			[]any{b.account, b.user, noon, noon}},
		{`INSERT INTO accounts (id, kind, code, currency, created_at, updated_at) VALUES (?, 'system', ?, 'EUR', ?, ?)`,
			[]any{b.system, b.system.String(), noon, noon}},
		{`INSERT INTO transactions (id, type, status, version, account_id, amount, currency, provider, created_at, updated_at, completed_at)
			VALUES (?, 'deposit', 'completed', 1, ?, 100, 'EUR', 'mock', ?, ?, ?)`, []any{b.transaction, b.account, noon, noon, noon}},
		{`INSERT INTO entries (transaction_id, line, account_id, currency, amount, account_seq, balance_after, posted_at)
			VALUES (?, 1, ?, 'EUR', 100, 1, 100, ?), (?, 2, ?, 'EUR', -100, NULL, NULL, ?)`,
			[]any{b.transaction, b.account, noon, b.transaction, b.system, noon}},
		{`INSERT INTO event_batches (id, events, at) VALUES (1, 1, ?)`, []any{noon}},
		{`INSERT INTO payment_events (batch_id, n, id, transaction_id, seq, to_status, cause, payload, at) VALUES (1, 1, ?, ?, 1, 'completed', 'test', '{}', ?)`,
			[]any{uuid.New(), b.transaction, noon}},
		{`INSERT INTO effects (provider, ref, effect, transaction_id, created_at) VALUES ('mock', ?, 'paid', ?, ?)`,
			[]any{b.transaction.String(), b.transaction, noon}},
		{`INSERT INTO audit (id, actor, action, subject, at) VALUES (?, 'test', 'write', 'book', ?)`, []any{uuid.New(), noon}},
	}
	for _, statement := range statements {
		require.NoError(t, db.Exec(statement.sql, statement.args...).Error, statement.sql)
	}
	return b
}

func TestI14_AppendOnlyTablesRefuseChange(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeBook(t, db.Writer())
		require.Subset(t, readSchema(t, db).triggers, []string{
			"audit audit_append_only", "effects effects_append_only", "entries entries_append_only",
			"payment_events payment_events_append_only", "payment_events payment_events_no_delete",
		})
		refused := []string{
			"UPDATE entries SET amount = amount + 1", "DELETE FROM entries", "UPDATE audit SET actor = 'else'", "DELETE FROM audit",
			"UPDATE effects SET effect = 'else'", "DELETE FROM effects", "DELETE FROM payment_events",
			"UPDATE payment_events SET payload = 'else'", "UPDATE payment_events SET n = n + 1",
			"DELETE FROM event_batches", "UPDATE event_batches SET position = 1, events = 9",
		}
		if db.Dialect() == database.Postgres {
			refused = append(refused, "TRUNCATE entries", "TRUNCATE audit", "TRUNCATE payment_events", "TRUNCATE event_batches")
		} else {
			refused = append(refused, "INSERT OR REPLACE INTO entries SELECT * FROM entries")
		}
		for _, statement := range refused {
			require.ErrorContains(t, db.Writer().Exec(statement).Error, "append-only", statement)
		}
		var entries int64
		require.NoError(t, db.Reader().Table("entries").Where("amount IN (100, -100)").Count(&entries).Error)
		require.EqualValues(t, 2, entries)
	})
}

func TestI14_PositionIsSetOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeBook(t, db.Writer())
		set := func(position any) error {
			return db.Writer().Exec("UPDATE event_batches SET position = ?", position).Error
		}
		require.ErrorContains(t, set(nil), "append-only")
		require.NoError(t, set(7))
		require.ErrorContains(t, set(8), "append-only")
		require.ErrorContains(t, set(7), "append-only")
		var position int64
		require.NoError(t, db.Reader().Raw("SELECT position FROM event_batches").Scan(&position).Error)
		require.EqualValues(t, 7, position)
	})
}

func TestI24_ChecksRefuseWrongRows(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeBook(t, db.Writer())
		for check, statement := range map[string]string{
			"accounts_overspend_check":   "UPDATE accounts SET held = 101 WHERE kind = 'user'",
			"accounts_held_check":        "UPDATE accounts SET held = -1 WHERE kind = 'user'",
			"accounts_owner_check":       "UPDATE accounts SET posted = 1 WHERE kind = 'system'",
			"transactions_work_check":    "UPDATE transactions SET next_attempt_at = updated_at",
			"transactions_failed_check":  "UPDATE transactions SET status = 'failed', completed_at = NULL",
			"transactions_version_check": "UPDATE transactions SET version = 0",
		} {
			err := db.Writer().Exec(statement).Error
			require.ErrorIs(t, err, gorm.ErrCheckConstraintViolated, statement)
			require.ErrorContains(t, err, check)
		}
		err := db.Writer().Exec("DELETE FROM users").Error
		require.ErrorIs(t, err, gorm.ErrForeignKeyViolated)
	})
}
