package eventbus

import (
	"context"
	"log/slog"
	"time"

	"florin/domain/account"
)

// Options are what a broker's bus is opened with. All have a working zero.
type Options struct {
	// DeadLetters takes what subscribers of this bus set aside. Without it an event is tried for ever.
	DeadLetters DeadLetters
	Retry       Retry
	Now         account.Clock // time.Now when nil
	Logger      *slog.Logger  // slog.Default() when nil
}

// WithDefaults fills what is nil.
func (o Options) WithDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Lanes are the settings of one subscriber of the bus.
func (o Options) Lanes(name string) LaneSettings {
	return LaneSettings{Name: name, Now: o.Now, DeadLetters: o.DeadLetters, Retry: o.Retry, Logger: o.Logger, Batch: maxHeld / 4}
}

// Sink is a broker as the log's sinks see it.
type Sink interface {
	// PublishBatch is a BatchHandler: it publishes the events, those of a transaction in order, and waits until the
	// broker has them. ErrAway where it cannot be reached; every other error is the event's own.
	PublishBatch(ctx context.Context, events []PositionedEvent) []error
	// Ping says whether the broker can be reached and takes events: ErrAway where not. It does not wait long.
	Ping(ctx context.Context) error
	// Close ends the connection. Subscriptions must have ended.
	Close() error
}
