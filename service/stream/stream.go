package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// pageWithin is the deadline of reading one page of the log.
const pageWithin = 5 * time.Second

// errGap is a log that does not have what the hub was handed.
var errGap = errors.New("the log ends before what was read of it")

// Stream is the events of one user, in the order of their positions. One goroutine reads it: first CatchUp, then Events
// until Ended, then Close.
type Stream struct {
	hub    *Hub
	userID string
	cursor int64 // the reader's: everything up to it was shown
	events chan *eventbus.PositionedEvent
	ctx    context.Context // ends with the stream
	cancel context.CancelFunc

	// Guarded by the hub.
	from   int64 // what is handed out begins behind it
	reason string
}

// Start is the position behind which the stream begins.
func (s *Stream) Start() int64 { return s.cursor }

// Events are those that come after CatchUp.
func (s *Stream) Events() <-chan *eventbus.PositionedEvent { return s.events }

// Context ends with the stream. What is still in Events then is not to be shown any more: the client resumes.
func (s *Stream) Context() context.Context { return s.ctx }

// CatchUp shows what happened between where the stream begins and now, with a page at a time in memory, and makes the
// stream live. One that is far behind waits for its turn. It returns show's error or the log's, and nil where the stream
// has ended.
func (s *Stream) CatchUp(show func(position int64, e account.PaymentEvent) error) error {
	if !s.joinWhenNear() {
		if err := s.approach(show); err != nil {
			return err
		}
	}
	for joined := s.joinedAt(); s.cursor < joined && s.ctx.Err() == nil; {
		if err := s.readPage(joined, show); err != nil {
			return err
		}
	}
	return nil
}

// approach reads until little is left. The stream is not live meanwhile: what happens need not fit into its buffer.
func (s *Stream) approach(show func(int64, account.PaymentEvent) error) error {
	select {
	case s.hub.replays <- struct{}{}:
		defer func() { <-s.hub.replays }()
	case <-s.ctx.Done():
		return nil
	}
	for !s.joinWhenNear() {
		if err := s.readPage(s.hub.Position(), show); err != nil {
			return err
		}
	}
	return nil
}

// joinWhenNear makes the stream live when a page is enough to catch up, and says so. One that has ended is near too.
func (s *Stream) joinWhenNear() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.hub.position-s.cursor > int64(s.hub.limits.Page) {
		return s.reason != ""
	}
	s.hub.join(s)
	return true
}

// joinedAt is where the backlog ends, and 0 where there is none.
func (s *Stream) joinedAt() int64 {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.reason != "" {
		return 0
	}
	return s.from
}

func (s *Stream) readPage(upTo int64, show func(int64, account.PaymentEvent) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	page, err := s.hub.log.ReadAfter(ctx, s.cursor, s.hub.limits.Page)
	if s.ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if len(page) == 0 {
		return fmt.Errorf("catch up from %d to %d: %w", s.cursor, upTo, errGap)
	}
	if err := visible(page, s.userID, upTo, show); err != nil {
		return err
	}
	s.cursor = min(page[len(page)-1].Position, upTo)
	return nil
}

// Idle is how far the client has come where nothing waits for it: everything of its user up to there was shown. A client
// that is told so does not resume from further back. The caller has shown all that it took from Events.
func (s *Stream) Idle() (position int64, idle bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return max(s.from, s.hub.position), len(s.events) == 0 && s.reason == ""
}

// End ends the stream for a reason; where it has ended, the earlier reason stands.
func (s *Stream) End(reason string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.end(s, reason)
}

// Close gives the stream's place back and returns why it ended: because its client went away where nothing else is known.
// Call it once.
func (s *Stream) Close() (reason string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.end(s, EndedByClient)
	s.hub.total--
	if s.hub.users[s.userID]--; s.hub.users[s.userID] == 0 {
		delete(s.hub.users, s.userID)
	}
	s.hub.meter.StreamEnded(s.reason)
	return s.reason
}
