package relay

import (
	"slices"

	"github.com/google/uuid"

	"florin/pkg/eventbus"
)

// inOrder picks from what waits the events that may have their positions now, in the order of their positions: as they
// came, but within a transaction by Seq, and none before all with a lower Seq have a position or come ahead of it in the
// result. An event whose predecessor is not to be seen yet stays behind.
func inOrder(waiting []eventbus.WaitingEvent) []uuid.UUID {
	next := make(map[uuid.UUID]int, len(waiting))
	for _, e := range waiting {
		next[e.TransactionID] = max(next[e.TransactionID], e.Before+1)
	}
	bySeq := slices.Clone(waiting)
	slices.SortStableFunc(bySeq, func(a, b eventbus.WaitingEvent) int { return a.Seq - b.Seq })
	queues := make(map[uuid.UUID][]uuid.UUID, len(next))
	for _, e := range bySeq {
		if e.Seq == next[e.TransactionID] {
			queues[e.TransactionID] = append(queues[e.TransactionID], e.ID)
			next[e.TransactionID]++
		}
	}
	// A transaction's places stay where its events stood; they are only filled by Seq.
	ids := make([]uuid.UUID, 0, len(waiting))
	for _, e := range waiting {
		if queue := queues[e.TransactionID]; len(queue) > 0 {
			ids = append(ids, queue[0])
			queues[e.TransactionID] = queue[1:]
		}
	}
	return ids
}
