package relay

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// Waiters are requests that wait for a transaction to change. They are woken by its events and look for themselves:
// what they answer is read from the database, never from the event.
type Waiters struct {
	limit   int
	recheck time.Duration

	mu      sync.Mutex
	closed  chan struct{}
	ended   bool
	count   int
	waiting map[uuid.UUID]map[chan struct{}]struct{}
}

// NewWaiters takes at most limit waiters at a time, 4096 when 0, and lets each look again every recheck, 1 s when 0, for a
// wake that was missed.
func NewWaiters(limit int, recheck time.Duration) *Waiters {
	setIfZero(&limit, 4096)
	setIfZero(&recheck, time.Second)
	return &Waiters{limit: limit, recheck: recheck, closed: make(chan struct{}), waiting: make(map[uuid.UUID]map[chan struct{}]struct{})}
}

// Wait blocks until until says done, ctx ends or Close is called, and says whether it was done. Time that runs out and a
// server that ends are no errors: the caller answers with the state as it is. until is called at once, after each event of
// the transaction and now and then; its error ends the wait. errs.Unavailable where too many wait already.
func (w *Waiters) Wait(ctx context.Context, transactionID uuid.UUID, until func(ctx context.Context) (done bool, err error)) (bool, error) {
	// Registered before the first look, so that no event falls between the look and the wait.
	woken, err := w.join(transactionID)
	if err != nil {
		return false, err
	}
	defer w.leave(transactionID, woken)
	again := time.NewTicker(w.recheck)
	defer again.Stop()
	for {
		done, err := until(ctx)
		if ctx.Err() != nil {
			return done && err == nil, nil
		}
		if done || err != nil {
			return done, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-w.closed:
			return false, nil
		case <-woken:
		case <-again.C:
		}
	}
}

// HandleEvent wakes those who wait for the event's transaction. It is an eventbus.Handler and never fails.
func (w *Waiters) HandleEvent(_ context.Context, event account.PaymentEvent) error {
	id, err := uuid.Parse(event.TransactionID)
	if err != nil {
		return nil // nobody can wait for it, and it would come again for ever
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for woken := range w.waiting[id] {
		signal(woken)
	}
	return nil
}

// Close releases all who wait, and whoever comes later, at once.
func (w *Waiters) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.closed)
	}
}

// PassOver says that nobody waits. Whoever comes later looks for himself first.
func (w *Waiters) PassOver(context.Context, int64) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count == 0, nil
}

// Count is how many wait now.
func (w *Waiters) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *Waiters) join(id uuid.UUID) (chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.limit {
		full := errs.New(errs.Unavailable, "too_many_waiters", "Too many requests are waiting; ask again without waiting.")
		full.RetryAfter = time.Second
		return nil, full
	}
	woken := make(chan struct{}, 1)
	if w.waiting[id] == nil {
		w.waiting[id] = make(map[chan struct{}]struct{})
	}
	w.waiting[id][woken] = struct{}{}
	w.count++
	return woken, nil
}

func (w *Waiters) leave(id uuid.UUID, woken chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting[id], woken)
	if len(w.waiting[id]) == 0 {
		delete(w.waiting, id)
	}
	w.count--
}
