package database

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/pkg/crashpoint"
)

// rowsToAdd is what a batch inserts, kept after the commit to tell what was committed.
type rowsToAdd struct {
	accounts       []accountRow
	transactions   []transactionRow
	keys           []keyRow
	inbox          []inboxRow
	effects        []effectRow
	systemAccounts []accountRow
	entries        []entryRow
	holds          []holdRow
	events         []eventRow
	reviews        []reviewRow
	deadLetters    []deadLetterRow
	providerCalls  []providerCallRow
	audit          []auditRow
}

// pair is a row as it was loaded and as it is to be.
type pair[R any] struct{ was, now R }

// writes is what a batch writes: one insert per table in this order, then the guarded updates. What a unique key decides is
// in the order of the keys, so that two that want the same keys wait for each other and never in a circle.
type writes struct {
	rowsToAdd
	changedTransactions []pair[transactionRow]
	changedHolds        []pair[holdRow]
	changedKeys         []pair[keyRow]
	changedInbox        []pair[inboxRow]
	changedReviews      []pair[reviewRow]
	changedAccounts     []pair[accountRow]
}

// writes is what the units have changed.
func (b *batch) writes() (*writes, error) {
	if err := b.prepare(); err != nil {
		return nil, err
	}
	w := &writes{rowsToAdd: b.rows}
	for _, id := range inOrder(b.was.transactions) {
		now, err := transactionToRow(b.state.transactions[id])
		if err == nil {
			err = compare(&w.changedTransactions, b.was.transactions[id], now)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range w.changedTransactions {
		// It is not written again, so it does not travel in clear.
		w.changedTransactions[i].was.ExternalTarget, w.changedTransactions[i].now.ExternalTarget = "", ""
	}
	for _, id := range inOrder(b.was.holds) {
		if err := compare(&w.changedHolds, b.was.holds[id], holdToRow(b.state.holds[id])); err != nil {
			return nil, err
		}
	}
	for _, hash := range inOrder(b.was.keys) {
		if err := compare(&w.changedKeys, b.was.keys[hash], keyToRow(b.state.keys[hash])); err != nil {
			return nil, err
		}
	}
	for key, was := range b.was.inbox {
		now, err := inboxToRow(b.state.inbox[key])
		if err == nil {
			err = compare(&w.changedInbox, was, now)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range w.changedInbox {
		w.changedInbox[i].was.Payload, w.changedInbox[i].now.Payload = "", ""
	}
	for _, id := range inOrder(b.was.reviews) {
		if err := compare(&w.changedReviews, b.was.reviews[id], reviewToRow(*b.state.reviews[id])); err != nil {
			return nil, err
		}
	}
	if err := b.checkBalances(); err != nil {
		return nil, err
	}
	w.changedAccounts = make([]pair[accountRow], 0, len(b.was.accounts))
	for _, id := range inOrder(b.was.accounts) {
		if err := compare(&w.changedAccounts, b.was.accounts[id], accountToRow(b.state.accounts[id])); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// errUnproved is a batch that would break the books. It is a fault of the program, and nothing of it is written.
var errUnproved = errors.New("a balance does not follow from what is written")

// checkBalances holds what the batch makes of each account against the entries and holds that it writes: the last look before the
// books change, on what is in memory anyway.
func (b *batch) checkBalances() error {
	posted, held := map[uuid.UUID]int64{}, map[uuid.UUID]int64{}
	for _, e := range b.rows.entries {
		posted[e.AccountID] += e.Amount
	}
	for _, h := range b.state.holds {
		held[h.AccountID] += setAside(holdToRow(h))
	}
	for _, h := range b.was.holds {
		held[h.AccountID] -= setAside(h)
	}
	for id, was := range b.was.accounts {
		now := b.state.accounts[id].State()
		if now.Posted-was.Posted.Int64 != posted[id] || now.Held-was.Held != held[id] || now.Held < 0 || now.Posted < now.Held {
			return fmt.Errorf("account %s: %w", id, errUnproved)
		}
	}
	return nil
}

// setAside is what a hold keeps from being spent.
func setAside(h holdRow) int64 {
	if h.Status != holdActive {
		return 0
	}
	return h.Amount - h.Captured - h.Released
}

// changing is a row of which some columns move.
type changing[R any] interface {
	comparable
	TableName() string
	settled(now R) R
}

// compare notes a row that has changed. A column that never changes and did is a fault of the program.
func compare[R changing[R]](changed *[]pair[R], was, now R) error {
	if was == now {
		return nil
	}
	if was.settled(now) != now {
		return fmt.Errorf("a column of %s that never changes was changed", was.TableName())
	}
	*changed = append(*changed, pair[R]{was, now})
	return nil
}

// prepare turns what was added into rows, as the last operation of the batch that touched it has left it.
func (b *batch) prepare() (err error) {
	r, added := &b.rows, b.added
	for _, a := range added.accounts {
		r.accounts = append(r.accounts, accountToRow(b.state.accounts[a.ID]))
	}
	latest := func(t *account.Transaction) (transactionRow, error) {
		return transactionToRow(b.state.transactions[t.ID])
	}
	if r.transactions, err = convertAll(added.transactions, latest); err != nil {
		return err
	}
	received := func(i *account.InboxRecord) (inboxRow, error) {
		return inboxToRow(b.state.inbox[account.InboxKey{Provider: i.Event.Provider, EventID: i.Event.EventID}])
	}
	if r.inbox, err = convertAll(added.inbox, received); err != nil {
		return err
	}
	if r.events, err = convertAll(added.events, eventToRow); err != nil {
		return err
	}
	for i := range r.events {
		r.events[i].N = i + 1
	}
	for _, key := range added.keys {
		r.keys = append(r.keys, keyToRow(b.state.keys[key.Hash]))
	}
	for _, e := range added.effects {
		r.effects = append(r.effects, effectToRow(e))
	}
	for _, h := range added.holds {
		r.holds = append(r.holds, holdToRow(b.state.holds[h.TransactionID]))
	}
	for _, review := range added.reviews {
		r.reviews = append(r.reviews, reviewToRow(review))
	}
	for _, d := range added.deadLetters {
		r.deadLetters = append(r.deadLetters, deadLetterToRow(d))
	}
	for _, c := range added.providerCalls {
		r.providerCalls = append(r.providerCalls, providerCallToRow(c))
	}
	for _, a := range added.audit {
		r.audit = append(r.audit, auditToRow(a))
	}
	b.prepareEntries()
	b.sort()
	return b.db.sealRows(r)
}

// prepareEntries numbers the lines of each transaction and names the system accounts that may have no row yet.
func (b *batch) prepareEntries() {
	lines := map[uuid.UUID]int{}
	named := map[uuid.UUID]bool{}
	for _, p := range b.added.postings {
		for _, e := range p.entries {
			lines[p.transactionID]++
			b.rows.entries = append(b.rows.entries, entryToRow(p.transactionID, lines[p.transactionID], e))
			if e.System == nil || named[e.AccountID] || isKnown(b.known, e.AccountID) {
				continue
			}
			named[e.AccountID] = true
			b.rows.systemAccounts = append(b.rows.systemAccounts, systemAccountToRow(*e.System, e.At))
		}
	}
}

func (b *batch) sort() {
	r := &b.rows
	sortByID(r.accounts, func(row accountRow) uuid.UUID { return row.ID })
	sortByID(r.transactions, func(row transactionRow) uuid.UUID { return row.ID })
	sortByID(r.keys, func(row keyRow) uuid.UUID { return row.KeyHash })
	sortByID(r.systemAccounts, func(row accountRow) uuid.UUID { return row.ID })
	slices.SortFunc(r.inbox, func(a, b inboxRow) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.EventID, b.EventID))
	})
	slices.SortFunc(r.effects, func(a, b effectRow) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Effect, b.Effect))
	})
	r.effects = slices.CompactFunc(r.effects, func(a, b effectRow) bool { return a.key() == b.key() })
}

func sortByID[R any](rows []R, id func(R) uuid.UUID) {
	slices.SortFunc(rows, func(a, b R) int {
		x, y := id(a), id(b)
		return bytes.Compare(x[:], y[:])
	})
}

func convertAll[V, R any](values []V, convert func(V) (R, error)) ([]R, error) {
	rows := make([]R, 0, len(values))
	for _, v := range values {
		row, err := convert(v)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// eventPoint is the name of dying behind the event rows: of a provider's event or of a client's request.
func (w *writes) eventPoint() string {
	if len(w.effects) > 0 {
		return crashpoint.WebhookEventRow
	}
	return crashpoint.EventInserted
}

func addCounted[R any](tx *gorm.DB, rows []R) (inserted int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	statement := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows)
	return int(statement.RowsAffected), statement.Error
}

// inOrder is the ids of the rows, in order: rows are written in the order in which they were locked.
func inOrder[R any](rows map[uuid.UUID]R) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(rows))
	for id := range rows {
		ids = append(ids, id)
	}
	return sorted(ids)
}

// errFound says that what an unanswered COMMIT should have stored is there. It ends the transaction that looked.
var errFound = errors.New("the commit took effect")

// probe tells whether the batch was committed, in a transaction of its own: errFound or errNotCommitted. It inserts a row
// of the batch again. That insert waits for the connection that was lost, should the server still be at its commit;
// a mere look would not. Only rows whose id is this batch's own prove anything. Where there is none, the batch only changed rows
// that it had locked: running it again waits for those locks and sees what it did.
func (b *batch) probe(tx *gorm.DB) error {
	r := &b.rows
	switch {
	case len(r.accounts) > 0:
		return find(tx, r.accounts[0], "id = ?", r.accounts[0].ID)
	case len(r.transactions) > 0:
		return find(tx, r.transactions[0], "id = ?", r.transactions[0].ID)
	case len(r.inbox) > 0:
		return find(tx, r.inbox[0], "id = ?", r.inbox[0].ID)
	case len(r.events) > 0:
		e := r.events[0]
		return find(tx, e, "transaction_id = ? AND seq = ? AND id = ?", e.TransactionID, e.Seq, e.ID)
	case len(r.reviews) > 0:
		return find(tx, r.reviews[0], "id = ?", r.reviews[0].ID)
	case len(r.deadLetters) > 0:
		return find(tx, r.deadLetters[0], "id = ?", r.deadLetters[0].ID)
	case len(r.providerCalls) > 0:
		return find(tx, r.providerCalls[0], "id = ?", r.providerCalls[0].ID)
	case len(r.audit) > 0:
		return find(tx, r.audit[0], "id = ?", r.audit[0].ID)
	default:
		return errNotCommitted
	}
}

// find looks for a row, which no other than own names, by inserting it.
func find[R interface{ TableName() string }](tx *gorm.DB, row R, own string, args ...any) error {
	inserted, err := addCounted(tx, []R{row})
	if err != nil {
		return err
	}
	if inserted == 1 {
		return errNotCommitted
	}
	var count int64
	if err := tx.Table(row.TableName()).Where(own, args...).Count(&count).Error; err != nil {
		return err
	}
	if count == 0 {
		return errNotCommitted
	}
	return errFound
}
