package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
)

// relayLease is the lease of the one relay that works.
const relayLease = "relay"

// staleLimit is how often in a row a batch is read again because another relay has moved its events.
const staleLimit = 3

// Relay gives committed events their positions: gapless, growing, by Seq within a transaction. Of all servers' relays one
// works, under a fenced lease; the others stand by.
type Relay struct {
	queue    Queue
	settings Settings
	moved    func()
	wake     chan struct{}
	woken    atomic.Bool // by a commit of this process since the last batch

	mu         sync.Mutex // a batch at a time
	lease      heldLease
	standingBy bool
}

// New returns a relay. moved is called after each commit of positions and wakes this process's subscribers; it may be nil
// and must not block.
func New(queue Queue, leases Leases, settings Settings, moved func()) *Relay {
	settings = settings.withDefaults()
	return &Relay{
		queue: queue, settings: settings, moved: moved, wake: make(chan struct{}, 1),
		lease: heldLease{leases: leases, name: relayLease, holder: settings.Holder, ttl: settings.LeaseTTL, now: settings.Now},
	}
}

// Wake says that this process has committed events. It never blocks; many wakes are one.
func (r *Relay) Wake() {
	r.woken.Store(true)
	signal(r.wake)
}

// Nudged says that another process has events waiting. Other than after Wake, a relay that stands by passes it on to
// nobody: so a nudge is never answered with a nudge.
func (r *Relay) Nudged() { signal(r.wake) }

// Run relays until ctx ends and then gives the lease back. It returns nil when ctx has ended.
func (r *Relay) Run(ctx context.Context) error {
	r.settings.loop(ctx, relayLease, r.wake, func() (more bool, err error) {
		local := r.woken.Swap(false)
		moved, err := r.RunOnce(ctx)
		if err != nil {
			return false, err
		}
		if local && r.StandsBy() {
			return false, r.queue.NudgeRelay(ctx)
		}
		return moved >= r.settings.Batch, nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.lease.release(ctx); err != nil {
		r.settings.Logger.WarnContext(ctx, "relay ended with its lease held", slog.Any("error", err))
	}
	return nil
}

// StandsBy says whether at the last look events waited for a relay that works elsewhere.
func (r *Relay) StandsBy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standingBy
}

// RunOnce gives one batch of waiting events their positions, in one commit, and returns how many. It is 0 where nothing
// waits or another server's relay works.
func (r *Relay) RunOnce(ctx context.Context) (moved int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standingBy = false
	for range staleLimit {
		// Nothing waits most of the time, and looking costs a read: the lease is touched only when there is work.
		ids, err := r.next(ctx)
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		mine, err := r.lease.keep(ctx)
		if err != nil || !mine {
			r.standingBy = err == nil
			return 0, err
		}
		crashpoint.Hit(crashpoint.RelayLeased)
		err = r.queue.AssignPositions(ctx, r.lease.fence, ids)
		switch {
		case err == nil:
			crashpoint.Hit(crashpoint.RelayCommitted)
			r.report(len(ids))
			return len(ids), nil
		case errors.Is(err, eventbus.ErrFenced):
			r.lease.forget()
		case !errors.Is(err, eventbus.ErrStale):
			return 0, err
		}
	}
	return 0, nil
}

// next is the batch that may be moved now. A full batch of which nothing may be moved hides what stands behind it, so it
// is read again with more.
func (r *Relay) next(ctx context.Context) ([]uuid.UUID, error) {
	for limit := r.settings.Batch; ; limit *= 2 {
		waiting, err := r.queue.Waiting(ctx, limit)
		if err != nil {
			return nil, err
		}
		if ids := inOrder(waiting); len(ids) > 0 || len(waiting) < limit {
			return ids[:min(len(ids), r.settings.Batch)], nil
		}
	}
}

func (r *Relay) report(moved int) {
	if r.settings.Hooks.Moved != nil {
		r.settings.Hooks.Moved(moved)
	}
	if r.moved != nil {
		r.moved()
	}
}
