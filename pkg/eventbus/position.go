package eventbus

import (
	"context"
	"errors"
	"time"

	"florin/domain/account"
)

// ErrFenced is a write under a lease that somebody else has taken over. Nothing was written.
var ErrFenced = errors.New("the lease is somebody else's by now")

// ErrStale is a write that was prepared on rows which have changed since. Nothing was written.
var ErrStale = errors.New("rows have changed since they were read")

// PositionedEvent is an event of the database's log at its place in it. Positions are 1, 2, … over all
// transactions, without a gap, and grow with Seq within a transaction.
type PositionedEvent struct {
	Position int64
	Event    account.PaymentEvent
}

// PositionedHandler is a Handler that also learns where in the log the event stands.
type PositionedHandler func(ctx context.Context, event PositionedEvent) error

// Positioned makes of a handler one that is told the position and does not look.
func Positioned(handle Handler) PositionedHandler {
	return func(ctx context.Context, event PositionedEvent) error { return handle(ctx, event.Event) }
}

// WaitingBatch is the events of one commit, which have no positions yet and get theirs together. Of two batches with events
// of one transaction, the one with the lower ID has the lower Seqs.
type WaitingBatch struct {
	ID     int64
	Events int // how many
}

// CommittedBatch is the events of one commit, in order, as the process that made it knows them. They equal what the log has.
type CommittedBatch struct {
	ID     int64 // 0 where it is not known
	Events []*account.PaymentEvent
}

// EventsIn is how many events the batches have.
func EventsIn(batches []WaitingBatch) int {
	n := 0
	for _, b := range batches {
		n += b.Events
	}
	return n
}

// CursorMove says how far a durable subscriber has come.
type CursorMove struct {
	Name     string
	From, To int64
	// Lease and Fence name the lease under which the subscriber worked.
	Lease string
	Fence int64
}

// Lag is how many events of the log a durable subscriber has still before it.
type Lag struct {
	Name   string
	Events int64
	// Since is when the oldest of these was committed, the zero time where there is none.
	Since time.Time
}
