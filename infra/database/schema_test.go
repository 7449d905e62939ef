package database_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// schema is what a catalog says, in words that mean the same in both databases, one fact a line.
type schema struct {
	columns, keys, references, indexes, checks, triggers []string
}

func readSchema(t *testing.T, db *database.DB) schema {
	t.Helper()
	if db.Dialect() == database.Postgres {
		return readPostgresSchema(t, db.Reader())
	}
	return readSQLiteSchema(t, db.Reader())
}

func lines(t *testing.T, db *gorm.DB, query string) []string {
	t.Helper()
	var list []string
	require.NoError(t, db.Raw(query).Scan(&list).Error)
	slices.Sort(list)
	return list
}

func readPostgresSchema(t *testing.T, db *gorm.DB) schema {
	return schema{
		columns: lines(t, db, `SELECT table_name || '.' || column_name || ' ' || CASE data_type WHEN 'uuid' THEN 'text'
				WHEN 'timestamp with time zone' THEN 'timestamp' WHEN 'bigint' THEN 'integer' WHEN 'smallint' THEN 'integer' ELSE data_type END
				|| CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END || ' default ' || coalesce(split_part(column_default, '::', 1), 'none')
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`),
		keys: lines(t, db, `SELECT c.conrelid::regclass || ' (' || string_agg(a.attname, ', ' ORDER BY k.n) || ')'
			FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY k (num, n), pg_attribute a
			WHERE c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.num AND c.connamespace = 'public'::regnamespace
				AND c.conrelid <> 'goose_db_version'::regclass GROUP BY c.oid, c.conrelid`),
		references: lines(t, db, `SELECT c.conrelid::regclass || '.' || a.attname || ' -> ' || c.confrelid::regclass
			FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'`),
		indexes: lines(t, db, `SELECT c.relname || CASE WHEN i.indisunique THEN ' unique' ELSE '' END
				|| CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END || ' on ' || i.indrelid::regclass || ' '
				|| (SELECT string_agg(translate(pg_get_indexdef(i.indexrelid, n, true), ' "', '')
						|| CASE i.indoption[n - 1] & 1 WHEN 1 THEN ' desc' ELSE '' END, ', ' ORDER BY n)
					FROM generate_series(1, i.indnkeyatts) n)
			FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE NOT i.indisprimary AND c.relnamespace = 'public'::regnamespace`),
		checks: lines(t, db, `SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace`),
		// SQLite has no TRUNCATE, so it needs no guard against one.
		triggers: lines(t, db, `SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE '%_no_truncate'`),
	}
}

var (
	namedCheck = regexp.MustCompile(`CONSTRAINT (\w+) CHECK`)
	anyCheck   = regexp.MustCompile(`\bCHECK\b`)
	indexParts = regexp.MustCompile(`(?s)^CREATE (UNIQUE )?INDEX (\w+) ON (\w+) \((.*?)\)( WHERE .*)?$`)
)

func readSQLiteSchema(t *testing.T, db *gorm.DB) schema {
	const tables = `FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`
	s := schema{
		columns: lines(t, db, `SELECT m.name || '.' || c.name || ' ' || lower(c.type) || CASE c."notnull" WHEN 1 THEN ' not null' ELSE '' END
			|| ' default ' || coalesce(c.dflt_value, 'none') `+tables),
		keys: lines(t, db, `SELECT name || ' (' || group_concat(col, ', ') || ')' FROM (SELECT m.name AS name, c.name AS col `+tables+
			` AND c.pk > 0 ORDER BY m.name, c.pk) GROUP BY name`),
		references: lines(t, db, `SELECT m.name || '.' || f."from" || ' -> ' || f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`),
		triggers:   lines(t, db, `SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE '%_append_only_delete'`),
	}
	for _, text := range lines(t, db, `SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`) {
		part := indexParts.FindStringSubmatch(text)
		require.NotNil(t, part, "cannot read %s", text)
		kind := map[bool]string{true: " unique"}[part[1] != ""] + map[bool]string{true: " partial"}[part[5] != ""]
		s.indexes = append(s.indexes, fmt.Sprintf("%s%s on %s %s", part[2], kind, part[3], strings.ReplaceAll(part[4], " DESC", " desc")))
	}
	for _, text := range lines(t, db, `SELECT sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'goose%'`) {
		named := namedCheck.FindAllStringSubmatch(text, -1)
		require.Len(t, anyCheck.FindAllString(text, -1), len(named), "every CHECK carries its PostgreSQL name: %s", text)
		for _, match := range named {
			s.checks = append(s.checks, match[1])
		}
	}
	slices.Sort(s.indexes)
	slices.Sort(s.checks)
	return s
}

func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	inFile := readSchema(t, databasetest.Open(t, database.SQLite, database.Options{}))
	onServer := readSchema(t, databasetest.Open(t, database.Postgres, database.Options{}))
	require.NotEmpty(t, onServer.columns)
	require.Equal(t, onServer.columns, inFile.columns, "columns")
	require.Equal(t, onServer.keys, inFile.keys, "primary keys")
	require.Equal(t, onServer.references, inFile.references, "foreign keys")
	require.Equal(t, onServer.indexes, inFile.indexes, "indexes")
	require.Equal(t, onServer.checks, inFile.checks, "checks")
	require.Equal(t, onServer.triggers, inFile.triggers, "triggers")
}

func TestI24_GuardsExist(t *testing.T) {
	t.Parallel()
	required := struct{ checks, indexes, references []string }{
		checks: []string{
			"accounts_overspend_check", "accounts_held_check", "accounts_owner_check", "accounts_closed_check",
			"entries_amount_check", "entries_seq_check", "entries_balance_check",
			"holds_amount_check", "holds_sum_check", "holds_ended_check",
			"transactions_amount_check", "transactions_status_check", "transactions_version_check",
			"transactions_work_check", "transactions_completed_check", "transactions_failed_check",
			"payment_events_seq_check", "payment_events_to_status_check", "event_batches_position_check",
			"inbox_work_check", "dead_letters_settled_check", "dead_letters_work_check", "log_head_id_check",
		},
		indexes: []string{
			"users_username_key unique", "users_email_key unique", "refresh_tokens_token_hash_key unique",
			"accounts_system_key unique", "transactions_payment_key unique", "entries_account_seq_key unique",
			"payment_events_seq_key unique", "event_batches_position_key unique", "inbox_event_key unique",
			"dead_letters_open_key unique",
		},
		references: []string{
			"accounts.user_id -> users", "transactions.account_id -> accounts", "entries.transaction_id -> transactions",
			"holds.transaction_id -> transactions", "holds.account_id -> accounts", "payment_events.transaction_id -> transactions",
			"effects.transaction_id -> transactions",
		},
	}
	keys := []string{"effects (provider, ref, effect)", "entries (transaction_id, line)", "holds (transaction_id)", "idempotency_keys (key_hash)"}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		have := readSchema(t, db)
		require.Subset(t, have.checks, required.checks)
		require.Subset(t, have.references, required.references)
		require.Subset(t, have.keys, keys)
		for _, name := range required.indexes {
			require.True(t, slices.ContainsFunc(have.indexes, func(line string) bool { return strings.HasPrefix(line, name) }), name)
		}
	})
}
