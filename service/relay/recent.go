package relay

import (
	"sync"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// recentBatches is how many full batches of the relay's are remembered of what this process has committed.
const recentBatches = 4

// recent is the events that this process has committed and that have no position yet, by the id of their batch. It forgets all
// when they become too many, as where another server's relay works: the log has them anyway.
type recent struct {
	most int

	mu     sync.Mutex
	count  int
	events map[int64][]*account.PaymentEvent
}

func (r *recent) add(b eventbus.CommittedBatch) {
	if b.ID == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil || r.count+len(b.Events) > r.most {
		r.events, r.count = make(map[int64][]*account.PaymentEvent), 0
	}
	r.events[b.ID] = b.Events
	r.count += len(b.Events)
}

// take is the events of the batches, of which the first has the position, up to the first batch that is not known.
func (r *recent) take(batches []eventbus.WaitingBatch, position int64) (known []eventbus.PositionedEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known = make([]eventbus.PositionedEvent, 0, min(r.count, eventbus.EventsIn(batches)))
	gap := false
	for _, b := range batches {
		events := r.events[b.ID]
		delete(r.events, b.ID)
		r.count -= len(events)
		if gap = gap || len(events) != b.Events; gap {
			continue
		}
		for _, e := range events {
			known = append(known, eventbus.PositionedEvent{Position: position, Event: *e})
			position++
		}
	}
	return known
}
