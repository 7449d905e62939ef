package database

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"florin/domain/account"
	"florin/domain/errs"
)

// The bounds of a lane.
const (
	// laneBatch is how many operations ride in one commit at the most, unless Ledger.MaxBatch says otherwise.
	laneBatch = 200
	// laneQueue is how many may wait for one; beyond it they are refused at once.
	laneQueue = 4096
)

// work is one operation on its way through a lane.
type work struct {
	ctx    context.Context
	needs  account.Needs
	fn     func(ctx context.Context, u account.UnitOfWork) error
	err    error
	signal chan role // of capacity 1
}

// role is what a waiting operation is woken for.
type role uint8

const (
	answered role = iota // its commit is over
	leads                // the lane is its own: it commits for all who wait
)

// lane is where operations queue up for a commit. While one commit is on its way to the disk, those that arrive wait, and
// the first of them then commits for all. Whoever finds the lane empty goes on at once in its own goroutine, so a lone
// operation pays nothing, and there is no goroutine to stop.
type lane struct {
	mu      sync.Mutex
	busy    bool
	waiting []*work
}

// enter queues the work, or says that it leads at once. errs.Unavailable where too many wait.
func (l *lane) enter(w *work) (leader bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= laneQueue {
		full := errs.New(errs.Unavailable, "overloaded", "Too many requests are waiting; please try again.")
		full.RetryAfter = time.Second
		return false, full
	}
	if l.busy {
		l.waiting = append(l.waiting, w)
		return false, nil
	}
	l.busy = true
	return true, nil
}

// leave takes work back that nobody has begun. It answers false where somebody has.
func (l *lane) leave(w *work) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == w {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// take is the leader's commit: its own work and what waits, in the order of arrival, but no more than most.
func (l *lane) take(leader *work, most int) []*work {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), most-1)
	batch := append(make([]*work, 0, n+1), leader)
	batch = append(batch, l.waiting[:n]...)
	l.waiting = append(l.waiting[:0:0], l.waiting[n:]...)
	return batch
}

// pass gives the lane to the first who waits.
func (l *lane) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.busy = false
		return
	}
	next := l.waiting[0]
	l.waiting = append(l.waiting[:0:0], l.waiting[1:]...)
	next.signal <- leads
}

// Do implements account.Ledger. It takes at most five seconds from when its commit begins.
func (l *Ledger) Do(ctx context.Context, needs account.Needs, fn func(ctx context.Context, u account.UnitOfWork) error) (err error) {
	if err := ctx.Err(); err != nil {
		return unitError(err)
	}
	if l.db.options.Spans {
		var end func(error)
		ctx, end = startCommit(ctx, l.db.dialect)
		defer func() { end(err) }()
	}
	w := &work{ctx: ctx, needs: needs, fn: fn, signal: make(chan role, 1)}
	leader, err := l.lane.enter(w)
	if err != nil {
		return err
	}
	if !leader {
		if leader, err = l.await(w); err != nil || !leader {
			return err
		}
	}
	l.lead(w)
	return w.err
}

// await blocks until the work is done or its turn to lead has come. Once somebody has begun it, its outcome is waited for
// whatever becomes of its context, because until then it is unknown.
func (l *Ledger) await(w *work) (leader bool, err error) {
	select {
	case r := <-w.signal:
		return r == leads, w.err
	case <-w.ctx.Done():
	}
	if l.lane.leave(w) {
		return false, unitError(w.ctx.Err())
	}
	r := <-w.signal
	return r == leads, w.err
}

func (l *Ledger) lead(leader *work) {
	defer l.lane.pass()
	batch := l.lane.take(leader, cmp.Or(l.MaxBatch, laneBatch))
	defer func() {
		for _, w := range batch[1:] {
			w.signal <- answered
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(leader.ctx), doLimit)
	defer cancel()
	l.commit(ctx, batch)
}

// commit runs the works in one transaction and gives each its error. What the database definitely took back is run again
// by halves, so that what caused it ends alone.
func (l *Ledger) commit(ctx context.Context, works []*work) {
	err := l.tryAll(ctx, works)
	if err == nil {
		return
	}
	if len(works) == 1 || errors.Is(err, errUnavailable) || errors.Is(err, errCommitUnknown) || ctx.Err() != nil {
		for _, w := range works {
			w.err = unitError(err)
		}
		return
	}
	half := len(works) / 2
	l.commit(ctx, works[:half])
	l.commit(ctx, works[half:])
}
