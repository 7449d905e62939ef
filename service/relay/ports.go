// Package relay moves payment events from the commit that made them to whoever listens: the relay gives them their
// positions in the log, subscribers read the log by position, and waiters are woken for one transaction.
package relay

import (
	"context"

	"florin/pkg/eventbus"
)

// Queue is the end of the log that waits for positions.
type Queue interface {
	// Waiting returns up to limit committed batches of events without a position, by id.
	Waiting(ctx context.Context, limit int) ([]eventbus.WaitingBatch, error)
	// AssignPositions gives the batches the next positions in the order given, in one commit: all or none; the last of them.
	// eventbus.ErrFenced where a relay with a higher fence has worked, eventbus.ErrStale where one of them has a position
	// already.
	AssignPositions(ctx context.Context, fence int64, batches []eventbus.WaitingBatch) (last int64, err error)
	// NudgeRelay tells the relays of other servers that events wait.
	NudgeRelay(ctx context.Context) error
}

// Log is the part of the log that has positions, with the cursors of those who read it.
type Log interface {
	// Head is the last position given, 0 before the first.
	Head(ctx context.Context) (int64, error)
	// ReadAfter returns up to limit events with a higher position, in order.
	ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error)
	// OpenCursor returns where the durable subscriber stands. One that is new stands at start.
	OpenCursor(ctx context.Context, name string, start int64) (int64, error)
	// MoveCursor stores how far a subscriber has come. eventbus.ErrFenced where its lease is somebody else's by now.
	MoveCursor(ctx context.Context, move eventbus.CursorMove) error
}
