package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// doLimit bounds a unit of work with all its tries, whatever the caller's deadline is.
const doLimit = 5 * time.Second

// The tries of a unit of work. A lost race is run again on fresh rows, a rollback that the database asks to repeat too.
const (
	lostTries     = 1 + 3
	rollbackTries = 5
)

var (
	// errLost is a row that somebody else wrote first: a unique key that is taken, or a guard that fits no longer.
	errLost = fmt.Errorf("%w: another unit of work was first", errRetry)
	// errNothingToCommit takes a transaction back in which every work was refused.
	errNothingToCommit = errors.New("nothing to commit")
	// errNotCommitted is a COMMIT without an answer that has been found to have had no effect.
	errNotCommitted = fmt.Errorf("%w: the commit had no effect", errRetry)
)

// Ledger implements account.Ledger on the database, with group commit: while one commit is on its way to the disk, the
// operations that arrive queue up, and the next commit carries them all.
type Ledger struct {
	// OnCommit, when set, is called after each commit that wrote events, with these. It must not block.
	OnCommit func(eventbus.CommittedBatch)
	// MaxBatch is how many operations ride in one commit at the most, 200 when 0. With 1 each has a commit of its own, which is
	// what group commit is compared with.
	MaxBatch int

	db   *DB
	lane lane
	// attempt is one try to commit; inTx looks afterwards whether one whose answer was lost took effect.
	attempt attempt
	inTx    func(ctx context.Context, fn func(tx *gorm.DB) error) error
	// known holds the ids of system accounts whose rows are committed, so that a posting need not insert them again.
	known sync.Map
}

// NewLedger returns the ledger of a database.
func NewLedger(db *DB) *Ledger {
	l := &Ledger{db: db, attempt: db.attemptSQLite, inTx: db.inTx}
	if db.dialect == Postgres {
		l.attempt = db.attemptPostgres
	}
	return l
}

// tryAll runs the works in one transaction until it is committed, and sets the error of each that was refused. An error is
// for all: none of them has had an effect, or errCommitUnknown.
func (l *Ledger) tryAll(ctx context.Context, works []*work) error {
	lost, rolledBack := 0, 0
	for {
		b := newBatch(l.db, &l.known)
		err := l.run(ctx, b, works)
		if errors.Is(err, errCommitUnknown) {
			err = l.settle(ctx, b)
		}
		switch {
		case err == nil || errors.Is(err, errNothingToCommit):
			for i, u := range b.units {
				works[i].err = u.refusal
			}
			if err == nil {
				l.committed(b)
			}
			return nil
		case errors.Is(err, errNotCommitted):
		case errors.Is(err, errLost):
			lost++
		case errors.Is(err, errRetry):
			rolledBack++
		default:
			return err
		}
		if lost == lostTries || rolledBack == rollbackTries || !pause(ctx, lost+rolledBack) {
			return err
		}
	}
}

// run is one try: everything in one transaction, each work on what those before it have left.
func (l *Ledger) run(ctx context.Context, b *batch, works []*work) error {
	for _, w := range works {
		b.newUnit(w.needs)
	}
	err := l.attempt(ctx, b.wants(), func(f loaded) (*writes, error) {
		if err := b.take(f); err != nil {
			return nil, err
		}
		refused := 0
		for i, u := range b.units {
			if u.refusal = call(account.WithUnit(works[i].ctx, u), u, works[i].fn); u.refusal != nil {
				refused++
				continue
			}
			b.merge(u)
		}
		if refused == len(b.units) {
			return nil, errNothingToCommit
		}
		return b.writes()
	})
	return asLost(err)
}

// call runs fn and makes an error of its panic, with the stack for the log.
func call(ctx context.Context, u *unit, fn func(ctx context.Context, u account.UnitOfWork) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic in a unit of work: %v\n%s", cause, debug.Stack())
		}
	}()
	return fn(ctx, u)
}

// asLost makes a lost race of a unique index that refused a row: on fresh rows the closure sees what took the place.
func asLost(err error) error {
	if err = classify(err); errors.Is(err, errUnique) {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// settle finds out whether a COMMIT without an answer took effect: nil where it did, errNotCommitted where it did not. It asks
// until ctx ends.
func (l *Ledger) settle(ctx context.Context, b *batch) error {
	for try := 1; ; try++ {
		err := l.inTx(ctx, b.probe)
		switch {
		case errors.Is(err, errFound):
			return nil
		case errors.Is(err, errNotCommitted):
			return err
		}
		if !pause(ctx, try) {
			return fmt.Errorf("%w: %w", errCommitUnknown, err)
		}
	}
}

func (l *Ledger) committed(b *batch) {
	for _, row := range b.rows.systemAccounts {
		l.known.Store(row.ID, struct{}{})
	}
	if len(b.rows.events) > 0 && l.OnCommit != nil {
		l.OnCommit(b.events())
	}
}

// unitError is what a unit of work that was not refused ends with. Time that has run out is an overload to the caller.
func unitError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return toErrs("unit of work", err)
}

// pause waits a little longer with each try, unevenly so that two that collided do not collide again, and returns false
// where ctx ends first.
func pause(ctx context.Context, try int) bool {
	longest := 4 * time.Millisecond << min(try, 6)
	timer := time.NewTimer(longest/4 + rand.N(longest*3/4)) //nolint:gosec // spreads retries, protects nothing
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func isKnown(known *sync.Map, id uuid.UUID) bool {
	_, ok := known.Load(id)
	return ok
}
