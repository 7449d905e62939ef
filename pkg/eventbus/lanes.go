package eventbus

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"florin/domain/account"
)

// Item is an event in a subscriber's hands.
type Item struct {
	PositionedEvent
	// Raw is the message that it came as, nil from the log.
	Raw []byte
	// Unreadable is why the message is no event for this program; then there is nothing to handle.
	Unreadable error
	// Tries is how often it was tried before, as far as the bus knows.
	Tries int
	// Continue makes the handler's context continue the publisher's trace. It may be nil.
	Continue func(ctx context.Context) context.Context
	// Settle is called once when the event was handled, or else set aside. It may be nil.
	Settle func(handled bool)
	// Lost says that another subscriber has it by now. It may be nil.
	Lost func() bool
}

func (i *Item) context(ctx context.Context) context.Context {
	if i.Continue == nil {
		return ctx
	}
	return i.Continue(ctx)
}

// Retry says how often and when a failed event is tried again.
type Retry struct {
	// Tries is after how many an event is set aside, 10 when 0: a minute or so.
	Tries int
	// Min and Max bound the delay, which doubles from one try to the next; 100 ms and 30 s when 0.
	Min, Max time.Duration
}

// delay is the time from a try to the next.
func (r Retry) delay(tries int) time.Duration {
	return min(r.Max, r.Min<<min(max(tries-1, 0), 30))
}

// LaneSettings are of one subscriber. Name and Now are required; all else has a working zero.
type LaneSettings struct {
	Name string
	Now  account.Clock
	// DeadLetters takes what is set aside. Without it, an event is tried for ever.
	DeadLetters DeadLetters
	Retry       Retry
	// Batch is how many events are handed over at once, 500 when 0.
	Batch int
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// Failed is called with each error of an event, SetAside with each event that became a dead letter. They may be nil.
	Failed   func(err error)
	SetAside func(reason string)
}

func (s LaneSettings) withDefaults() LaneSettings {
	s.Retry.Tries = cmp.Or(s.Retry.Tries, 10)
	s.Retry.Min = cmp.Or(s.Retry.Min, 100*time.Millisecond)
	s.Retry.Max = max(s.Retry.Min, cmp.Or(s.Retry.Max, 30*time.Second))
	s.Batch = cmp.Or(s.Batch, 500)
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if s.Failed == nil {
		s.Failed = func(error) {}
	}
	if s.SetAside == nil {
		s.SetAside = func(string) {}
	}
	return s
}

// Lanes hands a subscriber's events to its handler so that a failing one holds up its own transaction and no other. They
// keep what is not settled in memory; whoever adds to them bounds it by Held. They are for one goroutine at a time.
type Lanes struct {
	settings LaneSettings
	work     worker

	queue []*Item          // to be tried, in order
	lanes map[string]*lane // of transactions whose first event has failed
	held  map[string]bool  // transactions with an event that was set aside
	known bool             // held was read
	asked bool             // held was read again in this round
}

// lane is the events of one transaction behind one that has failed.
type lane struct {
	items []*Item
	tries int
	due   time.Time
	last  error
}

// NewLanes hands events over in batches.
func NewLanes(settings LaneSettings, handle BatchHandler) *Lanes {
	return newLanes(settings, inBatches(handle))
}

// NewLanesOneByOne hands events over one by one.
func NewLanesOneByOne(settings LaneSettings, handle PositionedHandler) *Lanes {
	return newLanes(settings, oneByOne(handle))
}

func newLanes(settings LaneSettings, work worker) *Lanes {
	return &Lanes{settings: settings.withDefaults(), work: work, lanes: make(map[string]*lane), held: make(map[string]bool)}
}

// Add puts events behind those that are there.
func (l *Lanes) Add(items ...*Item) { l.queue = append(l.queue, items...) }

// Held is how many events are not settled.
func (l *Lanes) Held() int {
	held := len(l.queue)
	for _, lane := range l.lanes {
		held += len(lane.items)
	}
	return held
}

// Reset forgets everything, for a subscriber that begins anew from what is stored.
func (l *Lanes) Reset() {
	l.queue = nil
	clear(l.lanes)
	clear(l.held)
	l.known = false
}

// NextTry is how long it is until an event is due; false where none is. Where events could not be handed over it is 0.
func (l *Lanes) NextTry() (time.Duration, bool) {
	if len(l.queue) > 0 {
		return 0, true
	}
	var next time.Time
	for _, lane := range l.lanes {
		if next.IsZero() || lane.due.Before(next) {
			next = lane.due
		}
	}
	return max(0, next.Sub(l.settings.Now())), !next.IsZero()
}

// Work hands over what is new and what is due, until nothing of it is left. failure is the first error of an event in this
// round, which will be tried again by itself. away is why the round ended early: nothing can be handed over now.
func (l *Lanes) Work(ctx context.Context) (failure, away error) {
	l.asked = false
	if away := l.recall(ctx); away != nil {
		return nil, away
	}
	for ctx.Err() == nil {
		batch, err := l.next(ctx)
		if err != nil {
			return failure, err
		}
		if len(batch) == 0 {
			break
		}
		failed, away := l.settle(ctx, batch, l.work(ctx, batch))
		if failure == nil {
			failure = failed
		}
		if away != nil {
			return failure, away
		}
	}
	return failure, nil
}

// recall reads which transactions are held: before the first event, because another server may have set events aside.
func (l *Lanes) recall(ctx context.Context) error {
	if l.known || l.settings.DeadLetters == nil {
		return nil
	}
	ids, err := l.settings.DeadLetters.HeldTransactions(ctx, l.settings.Name)
	if err != nil {
		return Away("read what was set aside", err)
	}
	clear(l.held)
	for _, id := range ids {
		l.held[id.String()] = true
	}
	l.known = true
	return nil
}

// next is what may be handed over now: first what has failed before and is due, then what is new and has nothing before it.
func (l *Lanes) next(ctx context.Context) ([]*Item, error) {
	now := l.settings.Now()
	var batch []*Item
	for key, lane := range l.lanes {
		if lane.items[0].lost() {
			l.release(key)
			continue
		}
		if !lane.due.After(now) && len(batch) < l.settings.Batch {
			batch = append(batch, lane.items[0])
		}
	}
	taken := 0
	for _, item := range l.queue {
		if len(batch) == l.settings.Batch {
			break
		}
		taken++
		lane, waits := l.lanes[item.Event.TransactionID]
		switch {
		case item.lost():
		case item.Unreadable != nil:
			if err := l.setAside(ctx, item, ReasonUnreadable, item.Tries+1, item.Unreadable); err != nil {
				l.queue = l.queue[taken-1:]
				return nil, l.returned(batch, err)
			}
		case waits:
			lane.items = append(lane.items, item)
		case l.held[item.Event.TransactionID]:
			if err := l.behindSetAside(ctx, item, &batch); err != nil {
				l.queue = l.queue[taken-1:]
				return nil, l.returned(batch, err)
			}
		default:
			batch = append(batch, item)
		}
	}
	l.queue = l.queue[taken:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return batch, nil
}

// returned puts a batch that cannot be handed over back to where it was.
func (l *Lanes) returned(batch []*Item, err error) error {
	var back []*Item
	for _, item := range batch {
		if lane, ok := l.lanes[item.Event.TransactionID]; !ok || lane.items[0] != item {
			back = append(back, item)
		}
	}
	l.queue = append(back, l.queue...)
	return err
}

// behindSetAside sets an event aside too, because an earlier one of its transaction was, or lets it go where that one has
// been redriven or discarded since.
func (l *Lanes) behindSetAside(ctx context.Context, item *Item, batch *[]*Item) error {
	if !l.asked {
		l.known, l.asked = false, true
		if err := l.recall(ctx); err != nil {
			return err
		}
	}
	if !l.held[item.Event.TransactionID] {
		*batch = append(*batch, item)
		return nil
	}
	return l.setAside(ctx, item, ReasonBehind, item.Tries, nil)
}

// settle takes the results of a batch.
func (l *Lanes) settle(ctx context.Context, batch []*Item, results []error) (failure, away error) {
	var back []*Item // what goes to the front of the queue again, in order
	for i, item := range batch {
		key, err := item.Event.TransactionID, results[i]
		lane, waiting := l.lanes[key]
		first := waiting && lane.items[0] == item
		switch {
		case err == nil:
			item.settle(true)
			if first {
				back = append(back, lane.items[1:]...)
				delete(l.lanes, key)
			}
		case errors.Is(err, ErrBehind) || notItsFault(ctx, err):
			if !errors.Is(err, ErrBehind) && away == nil {
				away = err
			}
			switch {
			case first:
			case waiting:
				lane.items = append(lane.items, item)
			default:
				back = append(back, item)
			}
		default:
			if failure == nil {
				failure = err
			}
			if !first {
				lane = l.open(item)
			}
			l.failed(ctx, lane, err)
			if lane.tries < l.settings.Retry.Tries || l.settings.DeadLetters == nil {
				continue
			}
			if err := l.setAside(ctx, item, ReasonTriesUsedUp, lane.tries, err); err != nil {
				away = cmp.Or(away, err)
				continue
			}
			back = append(back, lane.items[1:]...)
			delete(l.lanes, key)
		}
	}
	l.queue = append(back, l.queue...)
	return failure, away
}

func (l *Lanes) open(item *Item) *lane {
	opened := &lane{items: []*Item{item}, tries: item.Tries}
	l.lanes[item.Event.TransactionID] = opened
	return opened
}

// failed notes one more try of a lane's first event.
func (l *Lanes) failed(ctx context.Context, lane *lane, err error) {
	lane.tries++
	lane.last = err
	delay := l.settings.Retry.delay(lane.tries)
	lane.due = l.settings.Now().Add(delay)
	event := lane.items[0].Event
	l.settings.Logger.WarnContext(ctx, "event was not handled, will retry", slog.String("subscriber", l.settings.Name),
		slog.String("event", event.EventID), slog.String("transaction", event.TransactionID), slog.Int("tries", lane.tries),
		slog.Duration("retry_in", delay), slog.Any("error", err))
	l.settings.Failed(err)
}

// setAside makes a dead letter of the event. Where that cannot be stored the event stays.
func (l *Lanes) setAside(ctx context.Context, item *Item, reason string, tries int, failure error) error {
	if l.settings.DeadLetters == nil {
		return Away("nowhere to set an event aside", failure)
	}
	letter, err := newDeadLetter(l.settings.Name, item, reason, tries, failure, l.settings.Now())
	if err == nil {
		_, err = l.settings.DeadLetters.AddDeadLetter(ctx, letter)
	}
	if err != nil {
		return Away("set event aside", err)
	}
	l.settings.Logger.ErrorContext(ctx, "alert: dead_letter", slog.String("alert", "dead_letter"), slog.String("subscriber", l.settings.Name),
		slog.String("event", item.Event.EventID), slog.String("transaction", item.Event.TransactionID),
		slog.Int64("position", item.Position), slog.String("reason", reason), slog.Int("tries", tries), slog.Any("error", failure))
	l.settings.SetAside(reason)
	if item.Event.TransactionID != "" {
		l.held[item.Event.TransactionID] = true
		l.asked = true // it was stored just now
	}
	item.settle(false)
	return nil
}

// release drops the lost events of a lane and lets the others go on.
func (l *Lanes) release(key string) {
	left := slices.DeleteFunc(l.lanes[key].items, (*Item).lost)
	delete(l.lanes, key)
	l.queue = append(left, l.queue...)
}

func (i *Item) lost() bool { return i.Lost != nil && i.Lost() }

func (i *Item) settle(handled bool) {
	if i.Settle != nil {
		i.Settle(handled)
	}
}
