package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
	"florin/pkg/lease"
)

// closingLimit bounds what is still written when a loop ends.
const closingLimit = 2 * time.Second

// heldBatches is how many batches a subscriber reads ahead, at the most, of an event that its handler fails.
const heldBatches = 4

// errNotMine ends a round in which another server has taken the subscriber over. Nothing is wrong with the event.
var errNotMine = fmt.Errorf("another server runs the subscriber by now: %w", eventbus.ErrAway)

// Subscriber reads the log by position and hands the events to its handler, those of a transaction in order. An event that
// the handler fails comes again after a growing delay; later events of its transaction wait for it, others do not, as far as
// the subscriber reads ahead. After its last try it is set aside.
//
// A durable subscriber keeps its cursor in the database and of all servers one runs it, under a fenced lease. The cursor
// stands before the first event that is not settled, so after a crash what was handled behind it comes again. An ephemeral
// subscriber begins at the head, keeps nothing, sets nothing aside and runs in every process that starts it.
type Subscriber struct {
	name     string
	log      Log
	settings Settings
	wake     chan struct{}
	grown    atomic.Int64 // the last position that was announced

	mu     sync.Mutex  // a round at a time
	lease  *lease.Held // nil when ephemeral
	pass   PassOver    // nil passes nothing over
	lanes  *eventbus.Lanes
	open   bool
	cursor int64     // as stored
	read   int64     // the last position that was read
	behind []waiting // what was read behind the cursor, in order
}

// waiting is an event between the cursor and what was read.
type waiting struct {
	position int64
	settled  *bool
}

// NewDurable returns a subscriber with a stored cursor. A new name begins at the head of the log.
func NewDurable(log Log, leases lease.Leases, settings Settings, name string, handle eventbus.PositionedHandler) *Subscriber {
	s := newSubscriber(log, settings, name)
	s.oneByOne(s.withLease(leases), eventbus.Traced("subscriber "+name, handle))
	return s
}

// NewDurableBatch is NewDurable for a handler of many events at once, which need not see those that pass lets pass; it may be nil.
func NewDurableBatch(log Log, leases lease.Leases, settings Settings, name string, pass PassOver, handle eventbus.BatchHandler) *Subscriber {
	s := newSubscriber(log, settings, name)
	s.pass = pass
	s.lanes = eventbus.NewLanes(s.withLease(leases), func(ctx context.Context, events []eventbus.PositionedEvent) []error {
		if err := s.may(ctx); err != nil {
			return eventbus.All(len(events), err)
		}
		results := handle(ctx, events)
		s.hit(crashpoint.SubscriberDelivered)
		return results
	})
	return s
}

// PassOver says that nobody wants the events up to the position, which is the head of the log: they are not even read then.
// It is asked after the head was read, so whoever begins to want events later looks at a log that has all of those.
type PassOver func(ctx context.Context, head int64) (bool, error)

// NewEphemeral returns a subscriber that begins where the log ends when it first runs. The name is for logs and metrics.
func NewEphemeral(log Log, settings Settings, name string, pass PassOver, handle eventbus.PositionedHandler) *Subscriber {
	s := newSubscriber(log, settings, name)
	s.pass = pass
	lanes := s.laneSettings()
	lanes.DeadLetters = nil
	s.oneByOne(lanes, handle)
	return s
}

func newSubscriber(log Log, settings Settings, name string) *Subscriber {
	return &Subscriber{name: name, log: log, settings: settings.withDefaults(), wake: make(chan struct{}, 1)}
}

func (s *Subscriber) withLease(leases lease.Leases) eventbus.LaneSettings {
	s.lease = lease.New(leases, "subscriber:"+s.name, s.settings.Holder, s.settings.LeaseTTL, s.settings.Now)
	return s.laneSettings()
}

func (s *Subscriber) laneSettings() eventbus.LaneSettings {
	return eventbus.LaneSettings{Name: s.name, Now: s.settings.Now, DeadLetters: s.settings.DeadLetters, Retry: s.settings.EventRetry,
		Batch: s.settings.Batch, Logger: s.settings.Logger,
		Failed: func(err error) {
			if s.settings.Hooks.EventFailed != nil {
				s.settings.Hooks.EventFailed(s.name, err)
			}
		},
		SetAside: func(reason string) {
			if s.settings.Hooks.SetAside != nil {
				s.settings.Hooks.SetAside(s.name, reason)
			}
		}}
}

func (s *Subscriber) oneByOne(lanes eventbus.LaneSettings, handle eventbus.PositionedHandler) {
	s.lanes = eventbus.NewLanesOneByOne(lanes, func(ctx context.Context, e eventbus.PositionedEvent) error {
		// Handlers may be slow: the lease must not run out in the middle of a batch.
		if err := s.may(ctx); err != nil {
			return err
		}
		if err := handle(ctx, e); err != nil {
			return fmt.Errorf("subscriber %s at position %d: %w", s.name, e.Position, err)
		}
		s.hit(crashpoint.SubscriberDelivered)
		return nil
	})
}

// Wake says that the log has grown to the position, or 0 where nobody knows how far. It never blocks; many wakes are one.
func (s *Subscriber) Wake(position int64) {
	if position > s.grown.Load() {
		s.grown.Store(position)
	}
	signal(s.wake)
}

// Run reads until ctx ends, and then gives the lease back. It returns nil when ctx has ended, with no call of the handler
// under way.
func (s *Subscriber) Run(ctx context.Context) error {
	s.settings.loop(ctx, s.name, s.wake, func() (pace, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		round, err := s.round(ctx)
		if err == nil {
			err = round.away
		}
		return round.next, err
	})
	if s.lease == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lease.Release(ctx); err != nil {
		s.settings.Logger.WarnContext(ctx, "subscriber ended with its lease held", slog.String("subscriber", s.name), slog.Any("error", err))
	}
	return nil
}

// RunOnce hands over what is new and what is due, moves the cursor behind what is settled, and returns by how many events.
// That is 0 where nothing is new or another server runs the subscriber. The error is the handler's or the log's.
func (s *Subscriber) RunOnce(ctx context.Context) (settled int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	round, err := s.round(ctx)
	return round.settled, errors.Join(round.failure, round.away, err)
}

// round is what became of one.
type round struct {
	settled int // events that the cursor has passed
	next    pace
	failure error // of an event, which comes again by itself
	away    error // why nothing can be handed over now
}

func (s *Subscriber) round(ctx context.Context) (result round, err error) {
	result.next.pause = s.settings.Interval
	if mine, err := s.mine(ctx); err != nil || !mine {
		return result, err
	}
	if err := s.seek(ctx); err != nil {
		return result, err
	}
	if passed, err := s.passOver(ctx); err != nil || passed {
		return result, err
	}
	full, err := s.readOn(ctx)
	if err != nil {
		return result, err
	}
	result.failure, result.away = s.lanes.Work(ctx)
	if errors.Is(result.away, errNotMine) {
		result.away = nil
	}
	reached, settled := s.reached()
	moved, err := s.advance(ctx, reached)
	if err != nil || !moved {
		return result, err
	}
	s.behind = s.behind[settled:]
	if result.settled = settled; settled > 0 && s.settings.Hooks.Handled != nil {
		s.settings.Hooks.Handled(s.name, settled)
	}
	if full && s.room() > 0 {
		result.next.pause = 0
	}
	if due, ok := s.lanes.NextTry(); ok && result.next.pause > 0 {
		result.next.pause = max(time.Millisecond, min(result.next.pause, due))
	}
	return result, nil
}

// room is how many events may be read.
func (s *Subscriber) room() int {
	return min(s.settings.Batch, heldBatches*s.settings.Batch-len(s.behind))
}

// readOn takes what is new in the log, and says whether there may be more.
func (s *Subscriber) readOn(ctx context.Context) (full bool, err error) {
	room := s.room()
	if room <= 0 {
		return false, nil
	}
	events, err := s.log.ReadAfter(ctx, s.read, room)
	if err != nil || len(events) == 0 {
		return false, err
	}
	s.hit(crashpoint.SubscriberRead)
	items := make([]*eventbus.Item, len(events))
	settled := make([]bool, len(events))
	for i, e := range events {
		items[i] = &eventbus.Item{PositionedEvent: e, Settle: func(bool) { settled[i] = true }}
		s.behind = append(s.behind, waiting{position: e.Position, settled: &settled[i]})
	}
	s.read = events[len(events)-1].Position
	s.lanes.Add(items...)
	return len(events) == room, nil
}

// reached is the position before which all is settled, and how many events lie between it and the cursor.
func (s *Subscriber) reached() (position int64, settled int) {
	position = s.cursor
	for settled < len(s.behind) && *s.behind[settled].settled {
		position = s.behind[settled].position
		settled++
	}
	return position, settled
}

// mine says whether this process may work. Whoever gets the lease anew has to look where the cursor is.
func (s *Subscriber) mine(ctx context.Context) (bool, error) {
	if s.lease == nil {
		return true, nil
	}
	fence := s.lease.Fence()
	mine, err := s.lease.Keep(ctx)
	if s.lease.Fence() != fence {
		s.open = false
	}
	return mine, err
}

// may is asked before the handler is called.
func (s *Subscriber) may(ctx context.Context) error {
	mine, err := s.mine(ctx)
	if err != nil {
		return eventbus.Away("keep the lease", err)
	}
	if !mine || !s.open {
		return errNotMine
	}
	return nil
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
	s.lanes.Reset()
	s.cursor, s.read, s.behind, s.open = cursor, cursor, nil, true
	return nil
}

// passOver goes to the head of the log where nobody wants what is before it.
func (s *Subscriber) passOver(ctx context.Context) (passed bool, err error) {
	if s.pass == nil || len(s.behind) > 0 {
		return false, nil
	}
	head := s.grown.Load()
	if head <= s.read {
		if head, err = s.log.Head(ctx); err != nil {
			return false, err
		}
	}
	if passed, err = s.pass(ctx, head); err != nil || !passed {
		return false, err
	}
	if moved, err := s.advance(ctx, head); err != nil || !moved {
		return true, err
	}
	s.read = head
	return true, nil
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
		Name: s.name, From: s.cursor, To: reached, Lease: s.lease.Name(), Fence: s.lease.Fence(),
	})
	switch {
	case err == nil:
		s.hit(crashpoint.SubscriberCursorMove)
		s.cursor = reached
		return true, nil
	case errors.Is(err, eventbus.ErrFenced):
		s.lease.Forget()
		s.open = false
		return false, nil
	default:
		s.open = false // whether it was moved is to be seen
		return false, err
	}
}
