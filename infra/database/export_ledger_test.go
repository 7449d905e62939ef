package database

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// TryFunc is one try to commit. A spoil takes back what the operations have done, in place of writing it.
type TryFunc = func(ctx context.Context, spoil error) error

// Intercept puts wrap around each try of the ledger to commit.
func (l *Ledger) Intercept(wrap func(next TryFunc) TryFunc) {
	inner := l.attempt
	l.attempt = func(ctx context.Context, w wants, apply func(loaded) (*writes, error)) error {
		next := func(ctx context.Context, spoil error) error {
			return inner(ctx, w, func(f loaded) (*writes, error) {
				written, err := apply(f)
				if err == nil {
					err = spoil
				}
				return written, err
			})
		}
		return wrap(next)(ctx, nil)
	}
}

// LoseSight makes every look for what became of a commit end with the error.
func (l *Ledger) LoseSight(err error) {
	l.inTx = func(context.Context, func(tx *gorm.DB) error) error { return err }
}

// Waiting is how many operations wait for the commit after the running one.
func (l *Ledger) Waiting() int {
	l.lane.mu.Lock()
	defer l.lane.mu.Unlock()
	return len(l.lane.waiting)
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

// ProveIn proves all transactions and accounts as a round of the log does, on a running transaction, which may have tampered with the
// books. It returns the invariants that do not hold.
func ProveIn(tx *gorm.DB) ([]string, error) {
	var transactions, accounts []uuid.UUID
	if err := tx.Raw("SELECT id FROM transactions").Scan(&transactions).Error; err != nil {
		return nil, err
	}
	if err := tx.Raw("SELECT id FROM accounts").Scan(&accounts).Error; err != nil {
		return nil, err
	}
	p, err := prove(tx, transactions, accounts)
	if err != nil {
		return nil, err
	}
	var rules []string
	for _, b := range p.broken {
		rules = append(rules, b.id)
	}
	return rules, nil
}
