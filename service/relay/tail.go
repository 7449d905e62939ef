package relay

import (
	"context"
	"sync"

	"florin/pkg/eventbus"
)

// tail is the log as the subscribers of one process share it: what the process has committed itself, or one of them has read at
// its end, nobody need read and decode again. That is safe because positions have no gaps and what has one never changes.
//
// Memory answers only with events. Whoever has come to the end of what is held asks the log.
type tail struct {
	Log
	keep int // how many events are held at the least, once they are known

	reading sync.Mutex // one at a time asks the log: whoever comes meanwhile wants the same events

	mu     sync.Mutex // not held while the log is asked
	known  int64      // the last position that was announced
	asked  bool       // somebody has read since the last feed
	events []eventbus.PositionedEvent
}

// announce says that the log reaches the position, 0 where nobody knows how far, and answers false where that is no news. It does
// not wait for who reads.
func (t *tail) announce(position int64) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news = position == 0 || position > t.known
	t.known = max(t.known, position)
	return news
}

// feed takes events of the log that nobody has read. Where they leave a gap behind those that are held, the next reader closes it
// from the log. Where nobody reads, nothing is kept. It does not wait for who reads.
func (t *tail) feed(events []eventbus.PositionedEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.asked {
		t.events = nil
	}
	t.asked = false
	if len(t.events) == 0 || len(events) > 0 && events[0].Position <= t.last()+1 {
		t.add(events)
	}
}

// ReadAfter is the log's. The events are shared with other readers: nobody may change their metadata.
func (t *tail) ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error) {
	if t.isBefore(position) {
		// Who is far behind must neither push out what the others read nor keep them waiting.
		return t.Log.ReadAfter(ctx, position, limit)
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	held, enough := t.after(position, limit)
	if enough {
		return held, nil
	}
	read, err := t.Log.ReadAfter(ctx, position+int64(len(held)), limit-len(held))
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(read)
	return append(held, read...), nil
}

// isBefore says that the events behind the position are held no more.
func (t *tail) isBefore(position int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = true
	return len(t.events) > 0 && position < t.events[0].Position-1
}

// last is the position up to which the events are held, 0 where none is.
func (t *tail) last() int64 {
	if len(t.events) == 0 {
		return 0
	}
	return t.events[len(t.events)-1].Position
}

// after is the held events with a higher position, up to limit, and whether they are as many as that or all that is known.
// Adding to them copies them.
func (t *tail) after(position int64, limit int) (held []eventbus.PositionedEvent, enough bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.last()
	if position >= last || position < t.events[0].Position-1 {
		return nil, false
	}
	from := int(position + 1 - t.events[0].Position)
	to := min(from+limit, len(t.events))
	return t.events[from:to:to], to-from == limit || last >= t.known
}

// add puts events behind those that are held, or in their place where they do not follow them.
func (t *tail) add(events []eventbus.PositionedEvent) {
	last := t.last()
	for len(events) > 0 && events[0].Position <= last {
		events = events[1:]
	}
	most := 2 * t.keep
	events = events[max(0, len(events)-most):]
	switch {
	case len(events) == 0:
	case events[0].Position != last+1:
		t.events = events
	case len(t.events)+len(events) > most:
		// A new array: readers still look at the old one.
		kept := t.events[max(0, len(t.events)-min(t.keep, most-len(events))):]
		t.events = append(append(make([]eventbus.PositionedEvent, 0, len(kept)+len(events)), kept...), events...)
	default:
		t.events = append(t.events, events...)
	}
}
