package database

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"florin/domain/account"
)

// InTxFunc runs one transaction, as (*DB).inTx does.
type InTxFunc = func(ctx context.Context, fn func(tx *gorm.DB) error) error

// Intercept puts wrap between the ledger and its transactions.
func (l *Ledger) Intercept(wrap func(next InTxFunc) InTxFunc) { l.inTx = wrap(l.inTx) }

// RunTogether runs several operations as one batch, one after the other, each on what those before it left; it returns what
// each ended with, and the error of the whole.
func (l *Ledger) RunTogether(ctx context.Context, needs account.Needs, fns ...func(u account.UnitOfWork) error) ([]error, error) {
	refusals := make([]error, len(fns))
	b := newBatch(&l.known)
	for range fns {
		b.newUnit(needs)
	}
	err := l.inTx(ctx, func(tx *gorm.DB) error {
		if err := b.load(tx); err != nil {
			return err
		}
		for i, u := range b.units {
			refusals[i] = call(ctx, u, func(_ context.Context, u account.UnitOfWork) error { return fns[i](u) })
			if refusals[i] == nil {
				b.merge(u)
			}
		}
		return b.flush(tx)
	})
	return refusals, err
}

// Lost is a lost race.
var Lost = errLost

// VerifyIn checks the named invariants on a running transaction, which may have tampered with the books.
func VerifyIn(tx *gorm.DB, dialect Dialect, now time.Time, ids ...string) (map[string]Check, error) {
	checks := map[string]Check{}
	for _, inv := range allInvariants() {
		if !slices.Contains(ids, inv.id) {
			continue
		}
		violations, err := inv.find(view{tx: tx, dialect: dialect, now: now})
		if err != nil {
			return nil, err
		}
		checks[inv.id] = Check{ID: inv.id, Name: inv.name, Violations: violations}
	}
	return checks, nil
}

// LockingSQL is the statement that locks rows of a unit of work.
func LockingSQL(tx *gorm.DB) string {
	return tx.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.Clauses(locked).Where("id = ?", 1).Find(&[]accountRow{}) })
}
