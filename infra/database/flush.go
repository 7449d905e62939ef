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

// flush writes what the units have changed: one insert per table, then the guarded updates. What a unique key decides comes
// first and in the order of the keys, so that two that want the same key wait for each other and never in a circle.
// errLost where another was first.
func (b *batch) flush(tx *gorm.DB) error {
	if err := b.prepare(); err != nil {
		return err
	}
	if err := b.insert(tx); err != nil {
		return err
	}
	return b.update(tx)
}

// prepare turns what was added into rows.
func (b *batch) prepare() (err error) {
	r, added := &b.rows, b.added
	for _, a := range added.accounts {
		r.accounts = append(r.accounts, accountToRow(a))
	}
	if r.transactions, err = convertAll(added.transactions, transactionToRow); err != nil {
		return err
	}
	if r.inbox, err = convertAll(added.inbox, inboxToRow); err != nil {
		return err
	}
	if r.events, err = convertAll(added.events, eventToRow); err != nil {
		return err
	}
	for _, key := range added.keys {
		r.keys = append(r.keys, keyToRow(key))
	}
	for _, e := range added.effects {
		r.effects = append(r.effects, effectToRow(e))
	}
	for _, h := range added.holds {
		r.holds = append(r.holds, holdToRow(h))
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
	return nil
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

func (b *batch) insert(tx *gorm.DB) error {
	r := &b.rows
	for _, step := range []struct {
		write func() error
		point string
		rows  int
	}{
		{func() error { return addOnce(tx, r.accounts) }, "", 0},
		{func() error { return addOnce(tx, r.transactions) }, crashpoint.TransactionInserted, len(r.transactions)},
		{func() error { return addOnce(tx, r.keys) }, crashpoint.KeyInserted, len(r.keys)},
		{func() error { return addOnce(tx, r.inbox) }, crashpoint.WebhookInboxRow, len(r.inbox)},
		{func() error { return addOnce(tx, r.effects) }, crashpoint.WebhookEffectRow, len(r.effects)},
		{func() error { return addMissing(tx, r.systemAccounts) }, "", 0},
		{func() error { return add(tx, r.entries) }, crashpoint.WebhookEntries, len(r.entries)},
		{func() error { return add(tx, r.holds) }, crashpoint.HoldInserted, len(r.holds)},
		{func() error { return add(tx, r.events) }, b.eventPoint(), len(r.events)},
		{func() error { return add(tx, r.reviews) }, "", 0},
		{func() error { return add(tx, r.deadLetters) }, "", 0},
		{func() error { return add(tx, r.providerCalls) }, "", 0},
		{func() error { return add(tx, r.audit) }, "", 0},
	} {
		if err := step.write(); err != nil {
			return err
		}
		if step.rows > 0 {
			crashpoint.Hit(step.point)
		}
	}
	return nil
}

// eventPoint is the name of dying behind the event rows: of a provider's event or of a client's request.
func (b *batch) eventPoint() string {
	if len(b.rows.effects) > 0 {
		return crashpoint.WebhookEventRow
	}
	return crashpoint.EventInserted
}

func add[R any](tx *gorm.DB, rows []R) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Create(&rows).Error
}

// addMissing inserts the rows that are not there.
func addMissing[R any](tx *gorm.DB, rows []R) error {
	_, err := addCounted(tx, rows)
	return err
}

// addOnce inserts the rows, or returns errLost where one of them was there.
func addOnce[R any](tx *gorm.DB, rows []R) error {
	inserted, err := addCounted(tx, rows)
	if err == nil && inserted != len(rows) {
		return errLost
	}
	return err
}

func addCounted[R any](tx *gorm.DB, rows []R) (inserted int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	statement := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows)
	return int(statement.RowsAffected), statement.Error
}

// changing is a row of which some columns move.
type changing[R any] interface {
	comparable
	TableName() string
	changes() map[string]any
	settled(now R) R
}

// change writes what is different between a row as it was loaded and as it is now, where the guard still fits, and returns
// errLost where it does not.
func change[R changing[R]](tx *gorm.DB, was, now R, guard string, args ...any) error {
	if was == now {
		return nil
	}
	if was.settled(now) != now {
		return fmt.Errorf("a column of %s that never changes was changed", was.TableName())
	}
	delta, before := now.changes(), was.changes()
	for column, value := range delta {
		if value == before[column] {
			delete(delta, column)
		}
	}
	if len(delta) == 0 {
		return nil
	}
	statement := tx.Table(was.TableName()).Where(guard, args...).Updates(delta)
	if statement.Error == nil && statement.RowsAffected != 1 {
		return errLost
	}
	return statement.Error
}

func (b *batch) update(tx *gorm.DB) error {
	for _, id := range inOrder(b.was.transactions) {
		was := b.was.transactions[id]
		now, err := transactionToRow(b.state.transactions[id])
		if err != nil {
			return err
		}
		if err := change(tx, was, now, "id = ? AND version = ? AND status = ?", id, was.Version, was.Status); err != nil {
			return err
		}
	}
	for _, id := range inOrder(b.was.holds) {
		err := change(tx, b.was.holds[id], holdToRow(b.state.holds[id]), "transaction_id = ? AND status = ?", id, holdActive)
		if err != nil {
			return err
		}
	}
	for _, hash := range inOrder(b.was.keys) {
		was := b.was.keys[hash]
		err := change(tx, was, keyToRow(b.state.keys[hash]), "key_hash = ? AND fence = ? AND (finished_at IS NULL) = ?",
			hash, was.Fence, was.Finished == moment{})
		if err != nil {
			return err
		}
	}
	for key, was := range b.was.inbox {
		now, err := inboxToRow(b.state.inbox[key])
		if err != nil {
			return err
		}
		if err := change(tx, was, now, "id = ? AND fence = ? AND status = ? AND tries = ?", was.ID, was.Fence, was.Status, was.Tries); err != nil {
			return err
		}
	}
	for _, id := range inOrder(b.was.accounts) {
		was := b.was.accounts[id]
		err := change(tx, was, accountToRow(b.state.accounts[id]), "id = ? AND entry_seq = ? AND posted = ? AND held = ? AND status = ?",
			id, was.EntrySeq, was.Posted, was.Held, was.Status)
		if err != nil {
			return err
		}
		crashpoint.Hit(crashpoint.WebhookBalances)
	}
	return nil
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
		return find(tx, r.accounts[0], r.accounts[0].ID)
	case len(r.transactions) > 0:
		return find(tx, r.transactions[0], r.transactions[0].ID)
	case len(r.inbox) > 0:
		return find(tx, r.inbox[0], r.inbox[0].ID)
	case len(r.events) > 0:
		return find(tx, r.events[0], r.events[0].ID)
	case len(r.reviews) > 0:
		return find(tx, r.reviews[0], r.reviews[0].ID)
	case len(r.deadLetters) > 0:
		return find(tx, r.deadLetters[0], r.deadLetters[0].ID)
	case len(r.providerCalls) > 0:
		return find(tx, r.providerCalls[0], r.providerCalls[0].ID)
	case len(r.audit) > 0:
		return find(tx, r.audit[0], r.audit[0].ID)
	default:
		return errNotCommitted
	}
}

// find looks for a row by inserting it.
func find[R interface{ TableName() string }](tx *gorm.DB, row R, id uuid.UUID) error {
	inserted, err := addCounted(tx, []R{row})
	if err != nil {
		return err
	}
	if inserted == 1 {
		return errNotCommitted
	}
	var count int64
	if err := tx.Table(row.TableName()).Where("id = ?", id).Count(&count).Error; err != nil {
		return err
	}
	if count == 0 {
		return errNotCommitted
	}
	return errFound
}
