package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/pkg/crashpoint"
)

// The statements that load a batch. A list travels as one JSON array, so that a batch of any size is one text to compile.
var (
	liteLoadTransactions = "SELECT " + transactionTable.list() + " FROM transactions WHERE id IN (SELECT value FROM json_each(?))"
	liteLoadFollowers    = "SELECT " + transactionTable.list() + ` FROM transactions WHERE linked_transaction_id IN (SELECT value FROM json_each(?1))
		OR linked_transaction_id IN (SELECT id FROM transactions WHERE linked_transaction_id IN (SELECT value FROM json_each(?1)))`
	liteLoadAccounts  = "SELECT " + accountTable.list() + " FROM accounts WHERE kind = 'user' AND id IN (SELECT value FROM json_each(?))"
	liteLoadOpen      = "SELECT DISTINCT account_id FROM transactions WHERE account_id IN (SELECT value FROM json_each(?)) AND next_attempt_at IS NOT NULL"
	liteLoadDeposits  = "SELECT user_id, COUNT(*) AS n FROM transactions WHERE user_id IN (SELECT value FROM json_each(?)) AND type = 'deposit' AND next_attempt_at IS NOT NULL GROUP BY user_id"
	liteCountAccounts = "SELECT user_id, COUNT(*) AS n FROM accounts WHERE user_id IN (SELECT value FROM json_each(?)) AND kind = 'user' AND status <> 'closed' GROUP BY user_id"
	liteLoadHolds     = "SELECT " + holdTable.list() + " FROM holds WHERE transaction_id IN (SELECT value FROM json_each(?))"
	liteLoadKeys      = "SELECT " + keyTable.list() + " FROM idempotency_keys WHERE key_hash IN (SELECT value FROM json_each(?))"
	liteLoadInbox     = "SELECT " + inboxTable.list() + " FROM inbox WHERE (provider, event_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
	liteLoadReviews   = "SELECT " + reviewTable.list() + " FROM reviews WHERE id IN (SELECT value FROM json_each(?))"
	liteLoadEffects   = "SELECT " + effectTable.list() + " FROM effects WHERE (provider, ref, effect) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))"
)

// attemptSQLite is an attempt in the one writing transaction, which locks the file from its BEGIN on.
func (db *DB) attemptSQLite(ctx context.Context, w wants, apply func(loaded) (*writes, error)) error {
	return db.inTx(ctx, func(tx *gorm.DB) error {
		f, err := loadSQLite(tx, w)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		written, err := apply(f)
		if err != nil {
			return err
		}
		return writeSQLite(tx, written)
	})
}

func loadSQLite(tx *gorm.DB, w wants) (f loaded, err error) {
	l := liteLoader{tx: tx}
	liteLoad(&l, transactionTable, liteLoadTransactions, w.transactions, &f.transactions)
	liteLoad(&l, transactionTable, liteLoadFollowers, w.families, &f.transactions)
	holders := w.transactions
	for _, t := range f.transactions {
		holders = append(holders, t.ID)
	}
	liteLoad(&l, holdTable, liteLoadHolds, sorted(holders), &f.holds)
	accounts := w.accounts
	for _, t := range f.transactions {
		for _, id := range []nullID{t.AccountID, t.CounterpartyAccountID} {
			accounts = append(accounts, [16]byte(id))
		}
	}
	liteLoad(&l, accountTable, liteLoadAccounts, sorted(accounts), &f.accounts)
	if len(w.open) > 0 && l.err == nil {
		l.err = tx.Raw(liteLoadOpen, l.list(w.open)).Scan(&f.open).Error
	}
	l.count(liteLoadDeposits, w.depositsOf, &f.deposits)
	l.count(liteCountAccounts, w.accountsOf, &f.accountsOf)
	liteLoad(&l, keyTable, liteLoadKeys, w.keys, &f.keys)
	inbox := make([][2]string, len(w.inbox))
	for i, key := range w.inbox {
		inbox[i] = [2]string{key.Provider, key.EventID}
	}
	liteLoad(&l, inboxTable, liteLoadInbox, inbox, &f.inbox)
	effects := make([][3]string, len(w.effects))
	for i, key := range w.effects {
		effects[i] = [3]string{key.Provider, key.Ref, key.Effect}
	}
	liteLoad(&l, effectTable, liteLoadEffects, effects, &f.effects)
	liteLoad(&l, reviewTable, liteLoadReviews, w.reviews, &f.reviews)
	return f, l.err
}

type liteLoader struct {
	tx  *gorm.DB
	err error
}

func (l *liteLoader) list(keys any) string {
	text, err := json.Marshal(keys)
	if err != nil && l.err == nil {
		l.err = err
	}
	return string(text)
}

func (l *liteLoader) count(query string, users []uuid.UUID, into *[]counted) {
	if len(users) == 0 || l.err != nil {
		return
	}
	l.err = l.tx.Raw(query, l.list(users)).Scan(into).Error
}

func liteLoad[K, R any](l *liteLoader, t table, query string, keys []K, into *[]R) {
	if len(keys) == 0 || l.err != nil {
		return
	}
	l.err = inTable("load", t, l.scan(query, l.list(keys), func(scan func(...any) error) error {
		var row R
		if err := scan(targets(t.columns, &row)...); err != nil {
			return err
		}
		*into = append(*into, row)
		return nil
	}))
}

func (l *liteLoader) scan(query, list string, each func(scan func(...any) error) error) error {
	rows, err := l.tx.Statement.ConnPool.QueryContext(l.tx.Statement.Context, query, list)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// writeSQLite writes everything; the caller commits.
func writeSQLite(tx *gorm.DB, w *writes) error {
	p := &liteWriter{tx: tx}
	liteInsert(p, accountTable, w.accounts, "", "")
	liteInsert(p, transactionTable, w.transactions, "", crashpoint.TransactionInserted)
	liteInsert(p, keyTable, w.keys, "", crashpoint.KeyInserted)
	liteInsert(p, inboxTable, w.inbox, "", crashpoint.WebhookInboxRow)
	liteInsert(p, effectTable, w.effects, "", crashpoint.WebhookEffectRow)
	liteInsert(p, accountTable, w.systemAccounts, " ON CONFLICT DO NOTHING", "")
	liteInsert(p, entryTable, w.entries, "", crashpoint.WebhookEntries)
	liteInsert(p, holdTable, w.holds, "", crashpoint.HoldInserted)
	liteInsertEvents(p, w)
	liteInsert(p, reviewTable, w.reviews, "", "")
	liteInsert(p, deadLetterTable, w.deadLetters, "", "")
	liteInsert(p, providerCallTable, w.providerCalls, "", "")
	liteInsert(p, auditTable, w.audit, "", "")
	liteUpdate(p, transactionUpdate, w.changedTransactions)
	liteUpdate(p, holdUpdate, w.changedHolds)
	if len(w.changedHolds) > 0 && p.err == nil {
		crashpoint.Hit(crashpoint.WebhookBalances)
	}
	liteUpdate(p, keyUpdate, w.changedKeys)
	liteUpdate(p, inboxUpdate, w.changedInbox)
	liteUpdate(p, reviewUpdate, w.changedReviews)
	liteUpdate(p, accountUpdate, w.changedAccounts)
	if len(w.changedAccounts) > 0 && p.err == nil {
		crashpoint.Hit(crashpoint.WebhookBalances)
	}
	return p.err
}

type liteWriter struct {
	tx  *gorm.DB
	err error
}

// liteChunks are how many rows one insert has: few sizes make few texts to compile.
var liteChunks = []int{16, 8, 4, 2, 1}

func liteInsert[R any](p *liteWriter, t table, rows []R, conflict, point string) {
	if len(rows) == 0 {
		return
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(t.columns)), ", ") + ")"
	for _, size := range liteChunks {
		statement := insertInto(t) + "VALUES " + strings.TrimSuffix(strings.Repeat(one+", ", size), ", ") + conflict
		for ; len(rows) >= size && p.err == nil; rows = rows[size:] {
			args := make([]any, 0, size*len(t.columns))
			for i := range size {
				args = values(t.columns, &rows[i], args)
			}
			_, err := p.exec(statement, args)
			p.err = inTable("insert into", t, err)
		}
	}
	if p.err == nil && point != "" {
		crashpoint.Hit(point)
	}
}

// liteInsertEvents writes the events with the row of their batch.
func liteInsertEvents(p *liteWriter, w *writes) {
	if len(w.events) == 0 || p.err != nil {
		return
	}
	result, err := p.run("INSERT INTO event_batches (events, at) VALUES (?, ?)", []any{int64(len(w.events)), w.events[0].At})
	if err != nil {
		p.err = fmt.Errorf("insert into event_batches: %w", err)
		return
	}
	batch, err := result.LastInsertId()
	if err != nil {
		p.err = err
		return
	}
	for i := range w.events {
		w.events[i].BatchID = batch
	}
	liteInsert(p, eventTable, w.events, "", w.eventPoint())
}

// liteUpdate writes the changed rows one by one: in the file's one transaction a statement costs no round trip.
func liteUpdate[R any](p *liteWriter, u update, pairs []pair[R]) {
	guards := make([]string, len(u.guard.columns))
	for i, c := range u.guard.columns {
		guards[i] = c.name + " IS ?"
	}
	moving := make([]string, len(u.moving.columns))
	for i, c := range u.moving.columns {
		moving[i] = c.name + " = ?"
	}
	statement := fmt.Sprintf("UPDATE %s SET %s WHERE %s = ? AND %s", u.key.name, strings.Join(moving, ", "), u.key.columns[0].name,
		strings.Join(guards, " AND "))
	for i := range pairs {
		if p.err != nil {
			return
		}
		args := values(u.moving.columns, &pairs[i].now, nil)
		args = values(u.key.columns, &pairs[i].now, args)
		args = values(u.guard.columns, &pairs[i].was, args)
		written, err := p.exec(statement, args)
		if p.err = inTable("update", u.key, err); p.err == nil && written != 1 {
			p.err = errLost
		}
	}
}

func (p *liteWriter) run(statement string, args []any) (sql.Result, error) {
	return p.tx.Statement.ConnPool.ExecContext(p.tx.Statement.Context, statement, args...)
}

func (p *liteWriter) exec(statement string, args []any) (int64, error) {
	result, err := p.run(statement, args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
