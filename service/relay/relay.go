package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
	"florin/pkg/lease"
)

// relayLease is the lease of the one relay that works.
const relayLease = "relay"

// staleLimit is how often in a row it is looked again because another relay has moved what was seen.
const staleLimit = 3

// Relay gives committed events their positions: gapless, growing, by Seq within a transaction. Of all servers' relays one
// works, under a fenced lease; the others stand by.
type Relay struct {
	queue    Queue
	settings Settings
	moved    func(last int64, events []eventbus.PositionedEvent)
	wake     chan struct{}
	woken    atomic.Bool // by a commit of this process since the last batch
	recent   recent

	mu         sync.Mutex // a batch at a time
	lease      *lease.Held
	standingBy bool
}

// New returns a relay. moved is called after each commit of positions with the last of them, and with the first of its events as
// far as this process has committed them itself; it may be nil and must not block.
func New(queue Queue, leases lease.Leases, settings Settings, moved func(last int64, events []eventbus.PositionedEvent)) *Relay {
	settings = settings.withDefaults()
	return &Relay{
		queue: queue, settings: settings, moved: moved, wake: make(chan struct{}, 1), recent: recent{most: recentBatches * settings.Batch},
		lease: lease.New(leases, relayLease, settings.Holder, settings.LeaseTTL, settings.Now),
	}
}

// Committed says that this process has committed events. It never blocks.
func (r *Relay) Committed(batch eventbus.CommittedBatch) {
	r.recent.add(batch)
	r.woken.Store(true)
	signal(r.wake)
}

// Nudged says that another process has events waiting. Other than after Committed, a relay that stands by passes it on to
// nobody: so a nudge is never answered with a nudge.
func (r *Relay) Nudged() { signal(r.wake) }

// Run relays until ctx ends and then gives the lease back. It returns nil when ctx has ended.
func (r *Relay) Run(ctx context.Context) error {
	r.settings.loop(ctx, relayLease, r.wake, func() (pace, error) {
		local := r.woken.Swap(false)
		moved, full, err := r.step(ctx)
		if err == nil && local && r.StandsBy() {
			err = r.queue.NudgeRelay(ctx)
		}
		next := pace{pause: r.settings.Interval, moved: moved}
		if full {
			next = pace{} // more may wait
		}
		return next, err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.lease.Release(ctx); err != nil {
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

// RunOnce gives the events of up to Settings.Batch commits their positions, in one commit of its own, and returns how many
// events that were. It is 0 where nothing waits or another server's relay works.
func (r *Relay) RunOnce(ctx context.Context) (moved int, err error) {
	moved, _, err = r.step(ctx)
	return moved, err
}

// step is RunOnce, and says whether it moved as many commits as it may.
func (r *Relay) step(ctx context.Context) (moved int, full bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standingBy = false
	for range staleLimit {
		// Nothing waits most of the time, and looking costs a read: the lease is touched only when there is work.
		batches, err := r.queue.Waiting(ctx, r.settings.Batch)
		if err != nil || len(batches) == 0 {
			return 0, false, err
		}
		mine, err := r.lease.Keep(ctx)
		if err != nil || !mine {
			r.standingBy = err == nil
			return 0, false, err
		}
		crashpoint.Hit(crashpoint.RelayLeased)
		last, err := r.queue.AssignPositions(ctx, r.lease.Fence(), batches)
		switch {
		case err == nil:
			crashpoint.Hit(crashpoint.RelayCommitted)
			return r.report(batches, last), len(batches) == r.settings.Batch, nil
		case errors.Is(err, eventbus.ErrFenced):
			r.lease.Forget()
		case !errors.Is(err, eventbus.ErrStale):
			return 0, false, err
		}
	}
	return 0, false, nil
}

func (r *Relay) report(batches []eventbus.WaitingBatch, last int64) (events int) {
	events = eventbus.EventsIn(batches)
	known := r.recent.take(batches, last-int64(events)+1)
	if r.settings.Hooks.Moved != nil {
		r.settings.Hooks.Moved(events)
	}
	if r.moved != nil {
		r.moved(last, known)
	}
	return events
}
