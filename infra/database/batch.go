package database

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
)

// locked is how a unit of work locks rows: against each other, but not against the foreign keys that point at them. It
// disappears on SQLite, where the transaction has locked the file.
var locked = clause.Locking{Strength: "NO KEY UPDATE"}

// batch is the units of work that share one transaction: what they need is loaded together, in one order, and what they
// change is written together.
type batch struct {
	units []*unit
	state state     // as loaded, then with what the units that ended well made of it
	was   snapshot  // as loaded
	added additions // of the units that ended well
	rows  rowsToAdd // what flush inserts
	known *sync.Map
}

// snapshot is the loaded rows, to tell what has changed and to guard the writing of it.
type snapshot struct {
	transactions map[uuid.UUID]transactionRow
	accounts     map[uuid.UUID]accountRow
	holds        map[uuid.UUID]holdRow
	keys         map[uuid.UUID]keyRow
	inbox        map[account.InboxKey]inboxRow
}

func newBatch(known *sync.Map) *batch {
	return &batch{known: known, state: newState(), was: snapshot{
		transactions: map[uuid.UUID]transactionRow{},
		accounts:     map[uuid.UUID]accountRow{},
		holds:        map[uuid.UUID]holdRow{},
		keys:         map[uuid.UUID]keyRow{},
		inbox:        map[account.InboxKey]inboxRow{},
	}}
}

func (b *batch) newUnit(needs account.Needs) *unit {
	u := &unit{batch: b, needs: needs, own: newState()}
	b.units = append(b.units, u)
	return u
}

// load reads what the units need, each table with one statement: transactions locked by id, then accounts locked by id,
// then, under those locks, the rest.
func (b *batch) load(tx *gorm.DB) error {
	var transactions, accounts, keys, askedOpen []uuid.UUID
	var inbox, effects [][]any
	for _, u := range b.units {
		transactions = append(transactions, u.needs.Transactions...)
		accounts = append(accounts, u.needs.Accounts...)
		if u.needs.OpenPayments {
			askedOpen = append(askedOpen, u.needs.Accounts...)
		}
		if u.needs.Key != nil {
			keys = append(keys, *u.needs.Key)
		}
		if u.needs.Inbox != nil {
			inbox = append(inbox, []any{u.needs.Inbox.Provider, u.needs.Inbox.EventID})
		}
		for _, e := range u.needs.Effects {
			effects = append(effects, []any{e.Provider, e.Ref, e.Effect})
		}
	}
	transactions = sorted(transactions)
	if err := b.loadTransactions(tx, transactions); err != nil {
		return err
	}
	for _, t := range b.state.transactions {
		accounts = append(accounts, t.AccountID, t.CounterpartyID)
	}
	if err := b.loadAccounts(tx, sorted(accounts)); err != nil {
		return err
	}
	if err := b.loadOpenPayments(tx, sorted(askedOpen)); err != nil {
		return err
	}
	if err := b.loadHolds(tx, transactions); err != nil {
		return err
	}
	if err := b.loadKeys(tx, sorted(keys)); err != nil {
		return err
	}
	if err := b.loadInbox(tx, inbox); err != nil {
		return err
	}
	return b.loadEffects(tx, effects)
}

func (b *batch) loadTransactions(tx *gorm.DB, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var rows []transactionRow
	if err := tx.Clauses(locked).Where("id IN ?", ids).Order("id").Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		t, err := row.toTransaction()
		if err != nil {
			return err
		}
		// The row is written anew, because JSON that another version stored may be spelled differently and yet say the same.
		if b.was.transactions[t.ID], err = transactionToRow(t); err != nil {
			return err
		}
		b.state.transactions[t.ID] = t
	}
	return nil
}

func (b *batch) loadAccounts(tx *gorm.DB, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var rows []accountRow
	if err := tx.Clauses(locked).Where("id IN ? AND kind = 'user'", ids).Order("id").Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		a, err := row.toAccount()
		if err != nil {
			return err
		}
		b.state.accounts[a.ID], b.was.accounts[a.ID] = a, row
	}
	return nil
}

func (b *batch) loadOpenPayments(tx *gorm.DB, accounts []uuid.UUID) error {
	if len(accounts) == 0 {
		return nil
	}
	var open []uuid.UUID
	err := tx.Model(&transactionRow{}).Distinct().Where("account_id IN ? AND next_attempt_at IS NOT NULL", accounts).Pluck("account_id", &open).Error
	for _, id := range open {
		b.state.openPayments[id] = true
	}
	return err
}

func (b *batch) loadHolds(tx *gorm.DB, transactions []uuid.UUID) error {
	if len(transactions) == 0 {
		return nil
	}
	var rows []holdRow
	if err := tx.Where("transaction_id IN ?", transactions).Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		h, err := row.toHold()
		if err != nil {
			return err
		}
		b.state.holds[h.TransactionID], b.was.holds[h.TransactionID] = h, row
	}
	return nil
}

func (b *batch) loadKeys(tx *gorm.DB, hashes []uuid.UUID) error {
	if len(hashes) == 0 {
		return nil
	}
	var rows []keyRow
	if err := tx.Where("key_hash IN ?", hashes).Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		b.state.keys[row.KeyHash], b.was.keys[row.KeyHash] = row.toRecord(), row
	}
	return nil
}

func (b *batch) loadInbox(tx *gorm.DB, keys [][]any) error {
	if len(keys) == 0 {
		return nil
	}
	var rows []inboxRow
	if err := tx.Where(isOneOf("(provider, event_id)", keys)).Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		record, err := row.toRecord()
		if err != nil {
			return err
		}
		key := account.InboxKey{Provider: row.Provider, EventID: row.EventID}
		if b.was.inbox[key], err = inboxToRow(record); err != nil {
			return err
		}
		b.state.inbox[key] = record
	}
	return nil
}

func (b *batch) loadEffects(tx *gorm.DB, keys [][]any) error {
	if len(keys) == 0 {
		return nil
	}
	var rows []effectRow
	if err := tx.Where(isOneOf("(provider, ref, effect)", keys)).Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		b.state.effects[row.key()] = true
	}
	return nil
}

// isOneOf asks for the keys of several columns. It says VALUES, because SQLite compares such a key with a query and not
// with a list.
func isOneOf(columns string, keys [][]any) clause.Expr {
	values := make([]any, len(keys))
	for i, key := range keys {
		values[i] = key
	}
	return clause.Expr{SQL: columns + " IN (VALUES ?" + strings.Repeat(", ?", len(keys)-1) + ")", Vars: values}
}

// merge takes over what a unit that ended well has seen and changed.
func (b *batch) merge(u *unit) {
	mergeMap(b.state.transactions, u.own.transactions)
	mergeMap(b.state.accounts, u.own.accounts)
	mergeMap(b.state.holds, u.own.holds)
	mergeMap(b.state.keys, u.own.keys)
	mergeMap(b.state.inbox, u.own.inbox)
	mergeMap(b.state.effects, u.own.effects)
	for _, t := range u.added.transactions {
		if !t.Status().Terminal() {
			b.state.openPayments[t.AccountID] = true
		}
	}
	a, n := &b.added, u.added
	a.accounts = append(a.accounts, n.accounts...)
	a.transactions = append(a.transactions, n.transactions...)
	a.postings = append(a.postings, n.postings...)
	a.holds = append(a.holds, n.holds...)
	a.keys = append(a.keys, n.keys...)
	a.inbox = append(a.inbox, n.inbox...)
	a.effects = append(a.effects, n.effects...)
	a.events = append(a.events, n.events...)
	a.reviews = append(a.reviews, n.reviews...)
	a.deadLetters = append(a.deadLetters, n.deadLetters...)
	a.providerCalls = append(a.providerCalls, n.providerCalls...)
	a.audit = append(a.audit, n.audit...)
}

func mergeMap[K comparable, V any](into, from map[K]V) {
	for key, value := range from {
		into[key] = value
	}
}

// sorted is the ids in order, each once, without uuid.Nil.
func sorted(ids []uuid.UUID) []uuid.UUID {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return id == uuid.Nil })
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
