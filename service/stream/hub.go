// Package stream lets users follow their payment events as they happen. One reader of the log per process feeds a hub,
// which hands each event to the streams of those whom it concerns; what a stream has missed is read from the log.
package stream

import (
	"context"
	"sync"
	"time"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/eventbus"
)

// Log is the log of payment events, by position.
type Log interface {
	// Head is the last position given, 0 before the first.
	Head(ctx context.Context) (int64, error)
	// ReadAfter returns up to limit events with a higher position, in order.
	ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error)
}

// Meter counts what streams do. Its methods do not block.
type Meter interface {
	StreamOpened()
	// StreamEnded takes one of the reasons below.
	StreamEnded(reason string)
}

// Why a stream ended.
const (
	EndedByClient   = "client"     // it went away
	EndedCredential = "credential" // expired, logged out, or could not be checked any more
	EndedSlow       = "slow"       // it reads more slowly than its events come
	EndedShutdown   = "shutdown"
	EndedFailed     = "failed" // the log could not be read
)

// Limits bound what streams may use. Zero fields take the defaults named.
type Limits struct {
	PerUser int // streams of one user on this server: 8
	Total   int // streams on this server: 2000
	// Buffer is how many of its events a stream may be behind before it is ended: 1024.
	Buffer int
	// Backlog is how many positions back a stream may begin: 100,000. A resume reads all of them, its user's or not.
	Backlog int64
	// Replays is how many streams that are more than a page behind catch up at the same time; the others wait: 4.
	Replays int
	// Page is how many events are read from the log at once: 500.
	Page int
}

func (l Limits) withDefaults() Limits {
	orElse := func(n *int, standard int) {
		if *n == 0 {
			*n = standard
		}
	}
	orElse(&l.PerUser, 8)
	orElse(&l.Total, 2000)
	orElse(&l.Buffer, 1024)
	orElse(&l.Replays, 4)
	orElse(&l.Page, 500)
	if l.Backlog == 0 {
		l.Backlog = 100_000
	}
	return l
}

// Hub hands the events of the log to the streams that are open on this server. It is safe for concurrent use.
type Hub struct {
	log     Log
	limits  Limits
	meter   Meter
	replays chan struct{}

	mu       sync.Mutex
	position int64 // every event up to it was handed out
	closed   bool
	total    int
	users    map[string]int                  // how many streams each user has
	live     map[string]map[*Stream]struct{} // those that have caught up, by user
	open     map[*Stream]struct{}
}

// NewHub returns a hub that stands at the head of the log. From there on, its HandleEvent must see every event, in order, but
// for those that PassOver let pass.
func NewHub(ctx context.Context, log Log, limits Limits, meter Meter) (*Hub, error) {
	head, err := log.Head(ctx)
	if err != nil {
		return nil, err
	}
	limits = limits.withDefaults()
	return &Hub{
		log: log, limits: limits, meter: meter, replays: make(chan struct{}, limits.Replays), position: head,
		users: make(map[string]int), live: make(map[string]map[*Stream]struct{}), open: make(map[*Stream]struct{}),
	}, nil
}

// Position is how far the hub has come: the position behind which its reader begins.
func (h *Hub) Position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// HandleEvent hands one event to the streams of those whom it concerns. It is an eventbus.PositionedHandler, never fails
// and waits for nobody: a stream whose buffer is full is ended, and its client resumes where it was.
func (h *Hub) HandleEvent(_ context.Context, e eventbus.PositionedEvent) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Position <= h.position {
		return nil
	}
	h.position = e.Position
	h.handOut(e, e.Event.UserID)
	if e.Event.CounterpartyUserID != e.Event.UserID {
		h.handOut(e, e.Event.CounterpartyUserID)
	}
	return nil
}

// PassOver goes to the position, the head of the log, where no stream is open. A stream that is opened later begins there,
// or reads the log from where its client was.
func (h *Hub) PassOver(_ context.Context, head int64) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.total > 0 {
		return false, nil
	}
	h.position = max(h.position, head)
	return true, nil
}

func (h *Hub) handOut(e eventbus.PositionedEvent, userID string) {
	streams := h.live[userID]
	if len(streams) == 0 {
		return
	}
	seen, mine := e.Event.SeenBy(userID)
	if !mine {
		return
	}
	shown := &eventbus.PositionedEvent{Position: e.Position, Event: seen}
	for s := range streams {
		if e.Position <= s.from {
			continue
		}
		select {
		case s.events <- shown:
		default:
			h.end(s, EndedSlow)
		}
	}
}

// After is where a stream begins: behind a position, or, as its zero value, with what happens from now on.
type After struct {
	Position int64
	Given    bool
}

// Open makes a stream of the user's events. It must be closed. errs.Limited where the user has as many as he may,
// errs.Unavailable where the server has or is stopping, errs.Malformed for a position that the log has not reached,
// errs.Refused for one that is too far back.
func (h *Hub) Open(ctx context.Context, userID string, after After) (*Stream, error) {
	if after.Given {
		if err := h.check(ctx, after.Position); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.admit(userID); err != nil {
		return nil, err
	}
	s := &Stream{
		hub: h, userID: userID, cursor: after.Position,
		events: make(chan *eventbus.PositionedEvent, h.limits.Buffer),
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	h.open[s] = struct{}{}
	h.total++
	h.users[userID]++
	h.meter.StreamOpened()
	if !after.Given {
		s.cursor = h.position
		h.join(s)
	}
	return s, nil
}

// check asks the log where the hub cannot know: another server may be ahead of this one.
func (h *Hub) check(ctx context.Context, position int64) error {
	head := h.Position()
	if position > head {
		var err error
		if head, err = h.log.Head(ctx); err != nil {
			return err
		}
	}
	switch {
	case position > head:
		return InvalidPosition("names no event of this log")
	case head-position > h.limits.Backlog:
		return errs.New(errs.Refused, "events_too_old", "too many events have happened since; read the transactions, then follow without Last-Event-ID")
	}
	return nil
}

// InvalidPosition is the refusal of what no event has as its id.
func InvalidPosition(why string) error {
	return &errs.Error{Kind: errs.Malformed, Code: "invalid_last_event_id", Message: "Last-Event-ID " + why,
		Fields: []errs.Field{{Name: "Last-Event-ID", Code: "invalid_last_event_id", Message: why}}}
}

func (h *Hub) admit(userID string) error {
	switch {
	case h.closed:
		return &errs.Error{Kind: errs.Unavailable, Code: "stopping", Message: "the server is stopping", RetryAfter: time.Second}
	case h.users[userID] >= h.limits.PerUser:
		return &errs.Error{Kind: errs.Limited, Code: "too_many_streams", Message: "too many event streams are open", RetryAfter: 15 * time.Second}
	case h.total >= h.limits.Total:
		return &errs.Error{Kind: errs.Unavailable, Code: "streams_full", Message: "the server has as many event streams as it takes", RetryAfter: 15 * time.Second}
	}
	return nil
}

// join makes a stream live: from here on it is handed what happens.
func (h *Hub) join(s *Stream) {
	if _, joined := h.live[s.userID][s]; joined || s.reason != "" {
		return
	}
	s.from = max(s.cursor, h.position)
	if h.live[s.userID] == nil {
		h.live[s.userID] = make(map[*Stream]struct{})
	}
	h.live[s.userID][s] = struct{}{}
}

// end takes a stream out. The first reason counts.
func (h *Hub) end(s *Stream, reason string) {
	if s.reason != "" {
		return
	}
	s.reason = reason
	s.cancel()
	delete(h.open, s)
	delete(h.live[s.userID], s)
	if len(h.live[s.userID]) == 0 {
		delete(h.live, s.userID)
	}
}

// Close ends all streams, and whoever comes later is refused.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.open {
		h.end(s, EndedShutdown)
	}
}

// Count is the open streams of all users, those included that still say goodbye to their clients.
func (h *Hub) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

var _ eventbus.PositionedHandler = (*Hub)(nil).HandleEvent

// visible is what of a page concerns the user, as he may see it.
func visible(page []eventbus.PositionedEvent, userID string, upTo int64, show func(int64, account.PaymentEvent) error) error {
	for _, e := range page {
		if e.Position > upTo {
			return nil
		}
		if seen, mine := e.Event.SeenBy(userID); mine {
			if err := show(e.Position, seen); err != nil {
				return err
			}
		}
	}
	return nil
}
