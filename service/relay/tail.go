package relay

import (
	"context"
	"sync"
	"sync/atomic"

	"florin/pkg/eventbus"
)

// tail is the log as the subscribers of one process share it: what one of them has read at its end, the others need not read
// and decode again. That is safe because positions have no gaps and what has one never changes.
//
// Memory answers only with events. Whoever has come to the end of what is held asks the log.
type tail struct {
	Log
	keep  int          // how many events are held at the least, once they were read
	known atomic.Int64 // the last position that was announced

	mu     sync.Mutex
	events []eventbus.PositionedEvent
}

// announce says that the log reaches the position, 0 where nobody knows how far, and answers false where that is no news. It does
// not wait for who reads. One goroutine at a time calls it.
func (t *tail) announce(position int64) (news bool) {
	known := t.known.Load()
	t.known.Store(max(known, position))
	return position == 0 || position > known
}

// ReadAfter is the log's. The events are shared with other readers: nobody may change their metadata.
func (t *tail) ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error) {
	t.mu.Lock()
	if len(t.events) > 0 && position < t.events[0].Position-1 {
		// Who is far behind must not push out what the others read.
		t.mu.Unlock()
		return t.Log.ReadAfter(ctx, position, limit)
	}
	// Whoever comes meanwhile wants the same events, and waits for them.
	defer t.mu.Unlock()
	if held := t.after(position, limit); len(held) > 0 && (len(held) == limit || t.last() >= t.known.Load()) {
		return held, nil
	}
	read, err := t.Log.ReadAfter(ctx, max(position, t.last()), limit)
	if err != nil {
		return nil, err
	}
	t.add(read)
	return t.after(position, limit), nil
}

// last is the position up to which the events are held, 0 where none is.
func (t *tail) last() int64 {
	if len(t.events) == 0 {
		return 0
	}
	return t.events[len(t.events)-1].Position
}

// after is the held events with a higher position, up to limit. Adding to it copies it.
func (t *tail) after(position int64, limit int) []eventbus.PositionedEvent {
	if position >= t.last() {
		return nil
	}
	from := int(position + 1 - t.events[0].Position)
	to := min(from+limit, len(t.events))
	return t.events[from:to:to]
}

// add puts events behind those that are held, or in their place where they do not follow them.
func (t *tail) add(read []eventbus.PositionedEvent) {
	switch {
	case len(read) == 0:
	case read[0].Position != t.last()+1:
		t.events = read
	case len(t.events)+len(read) > 2*t.keep:
		// A new array: readers still look at the old one.
		kept := t.events[max(0, len(t.events)-t.keep):]
		t.events = append(append(make([]eventbus.PositionedEvent, 0, len(kept)+len(read)), kept...), read...)
	default:
		t.events = append(t.events, read...)
	}
}
