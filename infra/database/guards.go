package database

import (
	"regexp"
	"slices"
)

// guards is what the catalog must name, beside the same for both databases what only one of them has.
type guards struct {
	both, onPostgres, onSQLite []string
}

var appendOnlyGuards = guards{
	both: []string{"trigger entries_append_only", "trigger audit_append_only", "trigger payment_events_append_only",
		"trigger payment_events_no_delete", "trigger event_batches_append_only", "trigger event_batches_no_delete", "trigger effects_append_only"},
	onPostgres: []string{"trigger entries_no_truncate", "trigger audit_no_truncate", "trigger payment_events_no_truncate",
		"trigger event_batches_no_truncate"},
	onSQLite: []string{"trigger entries_append_only_delete", "trigger audit_append_only_delete", "trigger effects_append_only_delete"},
}

var schemaGuards = guards{both: []string{
	"check accounts_owner_check", "check accounts_overspend_check", "check accounts_held_check", "check accounts_closed_check",
	"check accounts_receivable_check",
	"check transactions_status_check", "check transactions_version_check", "check transactions_amount_check",
	"check transactions_work_check", "check transactions_completed_check", "check transactions_failed_check",
	"check entries_amount_check", "check entries_seq_check", "check entries_balance_check",
	"check holds_amount_check", "check holds_sum_check", "check holds_ended_check",
	"check payment_events_seq_check", "check payment_events_to_status_check", "check event_batches_position_check", "check event_batches_events_check",
	"check idempotency_keys_finished_check", "check inbox_work_check", "check dead_letters_settled_check",

	"unique users_username_key", "unique users_email_key", "unique accounts_system_key", "unique transactions_payment_key", "unique transactions_follow_key",
	"unique entries_account_seq_key", "unique payment_events_seq_key", "unique event_batches_position_key",
	"unique inbox_event_key", "unique dead_letters_open_key",

	"key accounts (id)", "key transactions (id)", "key entries (transaction_id, line)", "key holds (transaction_id)",
	"key payment_events (batch_id, n)", "key event_batches (id)", "key idempotency_keys (key_hash)", "key inbox (id)", "key effects (provider, ref, effect)",

	"reference accounts.user_id", "reference transactions.user_id", "reference transactions.account_id",
	"reference transactions.counterparty_account_id", "reference transactions.linked_transaction_id", "reference entries.transaction_id",
	"reference holds.transaction_id", "reference holds.account_id", "reference payment_events.transaction_id",
	"reference effects.transaction_id", "reference provider_calls.transaction_id",

	"required accounts.held", "required accounts.receivable", "required accounts.entry_seq", "required accounts.currency", "required transactions.amount",
	"required transactions.currency", "required transactions.status", "required transactions.version", "required entries.account_id",
	"required entries.amount", "required entries.currency", "required entries.posted_at", "required holds.amount",
	"required payment_events.transaction_id", "required payment_events.payload", "required idempotency_keys.resource_id",
	"required effects.transaction_id",
}}

// missingGuards is the invariant that the catalog names them all, in force.
func missingGuards(wanted guards) search {
	return func(v view) ([]Violation, error) {
		list, read := append(slices.Clone(wanted.both), wanted.onSQLite...), sqliteGuards
		if v.dialect == Postgres {
			list, read = append(slices.Clone(wanted.both), wanted.onPostgres...), postgresGuards
		}
		have, err := read(v)
		if err != nil {
			return nil, err
		}
		var missing []Violation
		for _, guard := range list {
			if !have[guard] {
				missing = append(missing, Violation{Text: "missing " + guard})
			}
		}
		return missing, nil
	}
}

func postgresGuards(v view) (map[string]bool, error) {
	return catalog(v, `SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')
		UNION ALL SELECT 'check ' || conname FROM pg_constraint WHERE contype = 'c' AND convalidated
		UNION ALL SELECT 'unique ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE i.indisunique AND i.indisvalid AND NOT i.indisprimary
		UNION ALL SELECT 'key ' || c.conrelid::regclass || ' (' || string_agg(a.attname, ', ' ORDER BY k.n) || ')'
			FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY k (num, n), pg_attribute a
			WHERE c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.num GROUP BY c.oid, c.conrelid
		UNION ALL SELECT 'reference ' || c.conrelid::regclass || '.' || a.attname FROM pg_constraint c
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f' AND c.convalidated
		UNION ALL SELECT 'required ' || a.attrelid::regclass || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
			WHERE a.attnotnull AND a.attnum > 0 AND c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace`)
}

var sqliteCheck = regexp.MustCompile(`CONSTRAINT (\w+) CHECK`)

func sqliteGuards(v view) (map[string]bool, error) {
	have, err := catalog(v, `SELECT 'trigger ' || name FROM sqlite_master WHERE type = 'trigger'
		UNION ALL SELECT 'unique ' || i.name FROM sqlite_master m, pragma_index_list(m.name) i
			WHERE m.type = 'table' AND i."unique" = 1 AND i.origin = 'c'
		UNION ALL SELECT 'key ' || name || ' (' || group_concat(col, ', ') || ')' FROM (
			SELECT m.name AS name, c.name AS col FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.pk > 0 ORDER BY m.name, c.pk)
			GROUP BY name
		UNION ALL SELECT 'reference ' || m.name || '.' || f."from" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
		UNION ALL SELECT 'required ' || m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
			WHERE m.type = 'table' AND c."notnull" = 1`)
	if err != nil {
		return nil, err
	}
	var tables []string
	if err := v.tx.Raw(`SELECT sql FROM sqlite_master WHERE type = 'table'`).Scan(&tables).Error; err != nil {
		return nil, err
	}
	for _, table := range tables {
		for _, match := range sqliteCheck.FindAllStringSubmatch(table, -1) {
			have["check "+match[1]] = true
		}
	}
	return have, nil
}

func catalog(v view, query string) (map[string]bool, error) {
	var names []string
	if err := v.tx.Raw(query).Scan(&names).Error; err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(names))
	for _, name := range names {
		have[name] = true
	}
	return have, nil
}
