package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
)

// Subscriber reads the log by position and hands each event to its handler, in order, one at a time. A handler that fails
// sees the same event again after a growing delay; what comes behind it waits.
//
// A durable subscriber keeps its cursor in the database and of all servers one runs it, under a fenced lease. An
// ephemeral one begins at the head, keeps nothing and runs in every process that starts it.
type Subscriber struct {
	name     string
	handle   eventbus.PositionedHandler
	log      Log
	settings Settings
	wake     chan struct{}

	mu     sync.Mutex // a batch at a time
	lease  *heldLease // nil when ephemeral
	pass   PassOver   // nil passes nothing over
	open   bool
	cursor int64
}

// NewDurable returns a subscriber with a stored cursor. A new name begins at the head of the log.
func NewDurable(log Log, leases Leases, settings Settings, name string, handle eventbus.PositionedHandler) *Subscriber {
	s := NewEphemeral(log, settings, name, nil, eventbus.Traced("subscriber "+name, handle))
	s.lease = &heldLease{leases: leases, name: "subscriber:" + name, holder: s.settings.Holder,
		ttl: s.settings.LeaseTTL, now: s.settings.Now}
	return s
}

// PassOver says that nobody wants the events up to the position, which is the head of the log: they are not even read then.
// It is asked after the head was read, so whoever begins to want events later looks at a log that has all of those.
type PassOver func(head int64) bool

// NewEphemeral returns a subscriber that begins where the log ends when it first runs. The name is for logs and metrics.
func NewEphemeral(log Log, settings Settings, name string, pass PassOver, handle eventbus.PositionedHandler) *Subscriber {
	return &Subscriber{name: name, handle: handle, log: log, pass: pass, settings: settings.withDefaults(), wake: make(chan struct{}, 1)}
}

// Wake says that the log has grown. It never blocks; many wakes are one.
func (s *Subscriber) Wake() { signal(s.wake) }

// Run reads until ctx ends, and then gives the lease back. It returns nil when ctx has ended, with no call of the handler
// under way.
func (s *Subscriber) Run(ctx context.Context) error {
	s.settings.loop(ctx, s.name, s.wake, func() (more bool, err error) {
		handled, err := s.RunOnce(ctx)
		return handled >= s.settings.Batch, err
	})
	if s.lease == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lease.release(ctx); err != nil {
		s.settings.Logger.WarnContext(ctx, "subscriber ended with its lease held", slog.String("subscriber", s.name), slog.Any("error", err))
	}
	return nil
}

// RunOnce hands one batch to the handler, moves the cursor behind what was handled, and returns how many that were. It is
// 0 where nothing is new or another server runs the subscriber. The error is the handler's or the log's.
func (s *Subscriber) RunOnce(ctx context.Context) (handled int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine, err := s.mine(ctx); err != nil || !mine {
		return 0, err
	}
	if err := s.seek(ctx); err != nil {
		return 0, err
	}
	if passed, err := s.passOver(ctx); err != nil || passed {
		return 0, err
	}
	events, err := s.log.ReadAfter(ctx, s.cursor, s.settings.Batch)
	if err != nil {
		return 0, err
	}
	if len(events) > 0 {
		s.hit(crashpoint.SubscriberRead)
	}
	reached, failure := s.deliver(ctx, events)
	moved, err := s.advance(ctx, reached)
	if err != nil || !moved {
		return 0, errors.Join(failure, err)
	}
	for handled < len(events) && events[handled].Position <= reached {
		handled++
	}
	if handled > 0 && s.settings.Hooks.Handled != nil {
		s.settings.Hooks.Handled(s.name, handled)
	}
	return handled, failure
}

// mine says whether this process may work. Whoever gets the lease anew has to look where the cursor is.
func (s *Subscriber) mine(ctx context.Context) (bool, error) {
	if s.lease == nil {
		return true, nil
	}
	fence := s.lease.fence
	mine, err := s.lease.keep(ctx)
	if s.lease.fence != fence {
		s.open = false
	}
	return mine, err
}

func (s *Subscriber) seek(ctx context.Context) error {
	if s.open {
		return nil
	}
	cursor, err := s.log.Head(ctx)
	if err == nil && s.lease != nil {
		cursor, err = s.log.OpenCursor(ctx, s.name, cursor)
	}
	if err != nil {
		return err
	}
	s.cursor, s.open = cursor, true
	return nil
}

// passOver goes to the head of the log where nobody wants what is before it.
func (s *Subscriber) passOver(ctx context.Context) (bool, error) {
	if s.pass == nil {
		return false, nil
	}
	head, err := s.log.Head(ctx)
	if err != nil || !s.pass(head) {
		return false, err
	}
	s.cursor = head
	return true, nil
}

// deliver returns the position of the last event that was handled, and the error of the one that was not.
func (s *Subscriber) deliver(ctx context.Context, events []eventbus.PositionedEvent) (reached int64, err error) {
	reached = s.cursor
	for _, e := range events {
		if ctx.Err() != nil {
			return reached, nil
		}
		// Handlers may be slow: the lease must not run out in the middle of a batch.
		if mine, err := s.mine(ctx); err != nil || !mine || !s.open {
			return reached, err
		}
		if err := eventbus.Safely(func() error { return s.handle(ctx, e) }); err != nil {
			return reached, fmt.Errorf("subscriber %s at position %d: %w", s.name, e.Position, err)
		}
		s.hit(crashpoint.SubscriberDelivered)
		reached = e.Position
	}
	return reached, nil
}

// hit is for durable subscribers alone: a crash leaves nothing of one that keeps nothing.
func (s *Subscriber) hit(point string) {
	if s.lease != nil {
		crashpoint.Hit(point)
	}
}

// advance moves the cursor, also when ctx has ended: what was handled need not come again. It answers false where another
// server has taken over; then that one's cursor counts.
func (s *Subscriber) advance(ctx context.Context, reached int64) (bool, error) {
	if reached == s.cursor {
		return true, nil
	}
	if s.lease == nil {
		s.cursor = reached
		return true, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingLimit)
	defer cancel()
	err := s.log.MoveCursor(ctx, eventbus.CursorMove{
		Name: s.name, From: s.cursor, To: reached, Lease: s.lease.name, Fence: s.lease.fence,
	})
	switch {
	case err == nil:
		s.hit(crashpoint.SubscriberCursorMove)
		s.cursor = reached
		return true, nil
	case errors.Is(err, eventbus.ErrFenced):
		s.lease.forget()
		s.open = false
		return false, nil
	default:
		s.open = false // whether it was moved is to be seen
		return false, err
	}
}
