package database

import (
	"bytes"
	"slices"
	"sync"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// batch is the units of work that share one transaction: what they need is loaded together, in one order, and what they
// change is written together.
type batch struct {
	units []*unit
	state state     // as loaded, then with what the units that ended well made of it
	was   snapshot  // as loaded
	added additions // of the units that ended well
	rows  rowsToAdd // what flush inserts
	known *sync.Map
	db    *DB
}

// snapshot is the loaded rows, to tell what has changed and to guard the writing of it.
type snapshot struct {
	transactions map[uuid.UUID]transactionRow
	accounts     map[uuid.UUID]accountRow
	holds        map[uuid.UUID]holdRow
	keys         map[uuid.UUID]keyRow
	inbox        map[account.InboxKey]inboxRow
	reviews      map[uuid.UUID]reviewRow // nil for none
}

func newBatch(db *DB, known *sync.Map) *batch {
	return &batch{db: db, known: known, state: newState(), was: snapshot{
		transactions: map[uuid.UUID]transactionRow{},
		accounts:     map[uuid.UUID]accountRow{},
		holds:        map[uuid.UUID]holdRow{},
		keys:         map[uuid.UUID]keyRow{},
		inbox:        map[account.InboxKey]inboxRow{},
	}}
}

func (b *batch) newUnit(needs account.Needs) *unit {
	u := &unit{batch: b, needs: needs}
	b.units = append(b.units, u)
	return u
}

// wants is what the units of a batch need, each list in order and without repeats.
type wants struct {
	transactions []uuid.UUID // locked, with their holds and with the accounts that they speak of
	families     []uuid.UUID // of transactions, of which all that follows them is locked too
	accounts     []uuid.UUID // locked too
	open         []uuid.UUID // accounts of which it is asked whether payments are open
	depositsOf   []uuid.UUID // users of whom it is asked how many deposits they have open
	accountsOf   []uuid.UUID // users of whom it is asked how many accounts they have open
	keys         []uuid.UUID
	inbox        []account.InboxKey
	effects      []account.EffectKey
	reviews      []uuid.UUID // locked
}

// loaded is the rows that are there.
type loaded struct {
	transactions []transactionRow
	accounts     []accountRow
	open         []uuid.UUID
	deposits     []counted
	accountsOf   []counted
	holds        []holdRow
	keys         []keyRow
	inbox        []inboxRow
	effects      []effectRow
	reviews      []reviewRow
}

// counted is how many of something a user has.
type counted struct {
	UserID uuid.UUID `gorm:"column:user_id"`
	Count  int       `gorm:"column:n"`
}

// counting is the users of whom something is counted. They are locked.
func (w wants) counting() []uuid.UUID {
	return sorted(append(slices.Clone(w.depositsOf), w.accountsOf...))
}

func (b *batch) wants() wants {
	var w wants
	for _, u := range b.units {
		w.transactions = append(w.transactions, u.needs.Transactions...)
		w.families = append(w.families, u.needs.Families...)
		w.accounts = append(w.accounts, u.needs.Accounts...)
		if u.needs.OpenPayments {
			w.open = append(w.open, u.needs.Accounts...)
		}
		w.depositsOf = append(w.depositsOf, u.needs.DepositsOf)
		w.accountsOf = append(w.accountsOf, u.needs.AccountsOf)
		if u.needs.Key != nil {
			w.keys = append(w.keys, *u.needs.Key)
		}
		if u.needs.Inbox != nil {
			w.inbox = append(w.inbox, *u.needs.Inbox)
		}
		w.effects = append(w.effects, u.needs.Effects...)
		w.reviews = append(w.reviews, u.needs.Review)
	}
	w.transactions, w.accounts, w.open, w.keys = sorted(w.transactions), sorted(w.accounts), sorted(w.open), sorted(w.keys)
	w.families, w.reviews = sorted(w.families), sorted(w.reviews)
	w.depositsOf, w.accountsOf = sorted(w.depositsOf), sorted(w.accountsOf)
	return w
}

// take makes objects of the rows, and keeps the rows to tell later what has changed.
func (b *batch) take(f loaded) error {
	for _, row := range f.transactions {
		t, err := b.db.transactionOf(row)
		if err != nil {
			return err
		}
		// The row is written anew, because JSON that another version stored may be spelled differently and yet say the same.
		if b.was.transactions[t.ID], err = transactionToRow(t); err != nil {
			return err
		}
		b.state.transactions[t.ID] = t
	}
	for _, row := range f.accounts {
		a, err := row.toAccount()
		if err != nil {
			return err
		}
		b.state.accounts[a.ID], b.was.accounts[a.ID] = a, row
	}
	for _, id := range f.open {
		b.state.openPayments[id] = true
	}
	for _, user := range f.deposits {
		b.state.openDeposits[user.UserID] = user.Count
	}
	for _, user := range f.accountsOf {
		b.state.openAccounts[user.UserID] = user.Count
	}
	for _, row := range f.holds {
		h, err := row.toHold()
		if err != nil {
			return err
		}
		b.state.holds[h.TransactionID], b.was.holds[h.TransactionID] = h, row
	}
	for _, row := range f.keys {
		b.state.keys[row.KeyHash], b.was.keys[row.KeyHash] = row.toRecord(), row
	}
	for _, row := range f.inbox {
		record, err := b.db.recordOf(row)
		if err != nil {
			return err
		}
		key := account.InboxKey{Provider: row.Provider, EventID: row.EventID}
		if b.was.inbox[key], err = inboxToRow(record); err != nil {
			return err
		}
		b.state.inbox[key] = record
	}
	if len(f.reviews) > 0 {
		b.state.reviews, b.was.reviews = map[uuid.UUID]*account.Review{}, map[uuid.UUID]reviewRow{}
	}
	for _, row := range f.reviews {
		review := row.toReview()
		b.state.reviews[row.ID], b.was.reviews[row.ID] = &review, row
	}
	for _, row := range f.effects {
		b.state.effects[row.key()] = true
	}
	return nil
}

// merge takes over what a unit that ended well has seen and changed.
func (b *batch) merge(u *unit) {
	mergeInto(b.state.transactions, u.own.transactions)
	mergeInto(b.state.accounts, u.own.accounts)
	mergeInto(b.state.holds, u.own.holds)
	mergeInto(b.state.keys, u.own.keys)
	mergeInto(b.state.inbox, u.own.inbox)
	mergeInto(b.state.effects, u.own.effects)
	mergeInto(b.state.reviews, u.own.reviews)
	for _, t := range u.added.transactions {
		if !t.Status().Terminal() {
			b.state.openPayments[t.AccountID] = true
			if t.Type == account.TypeDeposit {
				b.state.openDeposits[t.UserID]++
			}
		}
	}
	for _, a := range u.added.accounts {
		b.state.openAccounts[a.UserID]++
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

// events is what was committed, as the log has it.
func (b *batch) events() eventbus.CommittedBatch {
	return eventbus.CommittedBatch{ID: b.rows.events[0].BatchID, Events: b.added.events}
}

func mergeInto[K comparable, V any](into map[K]V, from few[K, V]) {
	for _, f := range from {
		into[f.key] = f.value
	}
}

// sorted is the ids in order, each once, without uuid.Nil.
func sorted(ids []uuid.UUID) []uuid.UUID {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return id == uuid.Nil })
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
