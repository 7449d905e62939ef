package database

import (
	"context"
	"fmt"
	"strings"
)

// attempt runs one transaction of the commit path: it loads, has apply decide, writes what apply returns, and commits. Nothing
// is written where apply returns an error. errLost where somebody else was first; errCommitUnknown as inTx.
type attempt func(ctx context.Context, w wants, apply func(loaded) (*writes, error)) error

// update says how changed rows of a table are written: which columns name the row, which move, and which must still be as
// they were loaded.
type update struct{ key, moving, guard table }

func updateOf(t table, key string, guard, moving []string) update {
	return update{key: t.only(key), moving: t.only(moving...), guard: t.only(guard...)}
}

// The tables of the commit path.
var (
	transactionTable  = tableOf[transactionRow]()
	accountTable      = tableOf[accountRow]()
	holdTable         = tableOf[holdRow]()
	keyTable          = tableOf[keyRow]()
	inboxTable        = tableOf[inboxRow]()
	effectTable       = tableOf[effectRow]()
	entryTable        = tableOf[entryRow]()
	eventTable        = tableOf[eventRow]()
	reviewTable       = tableOf[reviewRow]()
	deadLetterTable   = tableOf[deadLetterRow]()
	providerCallTable = tableOf[providerCallRow]()
	auditTable        = tableOf[auditRow]()

	transactionUpdate = updateOf(transactionTable, "id", []string{"version", "status"}, []string{
		"status", "version", "posted_amount", "posted_currency", "counterparty_amount", "counterparty_currency", "received_amount",
		"conversion", "payment_id", "next_action", "money_source", "failure_code",
		"failure_message", "attempt", "tries", "fence",
		"next_attempt_at", "expires_at", "updated_at", "completed_at"})
	holdUpdate = updateOf(holdTable, "transaction_id", []string{"status"}, []string{"captured", "released", "status", "ended_at"})
	keyUpdate  = updateOf(keyTable, "key_hash", []string{"fence", "finished_at"}, []string{
		"fence", "locked_until", "response_status", "response_body", "finished_at"})
	inboxUpdate = updateOf(inboxTable, "id", []string{"fence", "status", "tries"}, []string{
		"transaction_id", "status", "reason", "tries", "fence", "next_attempt_at", "processed_at"})
	reviewUpdate = updateOf(reviewTable, "id", []string{"status"}, []string{
		"status", "settled_at", "outcome", "settled_by", "settled_why", "settlement_id"})
	accountUpdate = updateOf(accountTable, "id", []string{"entry_seq", "posted", "held", "receivable", "status"}, []string{
		"name", "status", "posted", "held", "receivable", "entry_seq", "last_entry_at", "updated_at", "closed_at"})
)

// insertInto is the head of an insert of whole rows.
func insertInto(t table) string { return "INSERT INTO " + t.name + " (" + t.list() + ") " }

// prefixed is the columns' names with a prefix, as a list.
func prefixed(prefix string, columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = prefix + c.name
	}
	return names
}

// assignments is "a = from.a, b = from.b".
func assignments(columns []column, from string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.name + " = " + from + c.name
	}
	return strings.Join(parts, ", ")
}

// inTable names a statement in an error.
func inTable(what string, t table, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, t.name, err)
}
