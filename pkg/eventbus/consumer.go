package eventbus

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Source is where a broker's messages come from, for one subscription. It is used by one goroutine.
type Source interface {
	// Receive waits up to wait for messages and returns up to limit of those that have come, maybe none. An error is a
	// broker that is away; it is asked again.
	Receive(ctx context.Context, limit int, wait time.Duration) ([]*Item, error)
	// Report tells the broker what was settled and what is still worked on. It is called after each round.
	Report(ctx context.Context) error
	// Close gives back what was not settled, so that another subscriber gets it.
	Close(ctx context.Context) error
}

// The bounds of a subscription's loop.
const (
	// maxHeld is how many events it holds at the most, those behind a failing one included.
	maxHeld = 1000
	// receiveWait is how long it waits for a message, and so how often it reports.
	receiveWait = time.Second
	// closeWithin is what giving back may take.
	closeWithin = 3 * time.Second
)

// Consume hands what comes from the source to the handler until ctx ends, as EventBus says, and returns nil then.
func Consume(ctx context.Context, source Source, settings LaneSettings, handle Handler) error {
	settings = settings.withDefaults()
	lanes := NewLanesOneByOne(settings, Positioned(handle))
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 50*time.Millisecond, 5*time.Second
	retry.Reset()
	for ctx.Err() == nil {
		err := consumeOnce(ctx, source, lanes, settings.Batch)
		if err == nil || ctx.Err() != nil {
			retry.Reset()
			continue
		}
		delay := retry.NextBackOff()
		settings.Logger.WarnContext(ctx, "subscription cannot go on, will retry", slog.String("subscriber", settings.Name),
			slog.Duration("retry_in", delay), slog.Any("error", err))
		pause(ctx, delay)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	if err := source.Close(ctx); err != nil {
		settings.Logger.WarnContext(ctx, "subscription ended without the broker's knowledge", slog.String("subscriber", settings.Name),
			slog.Any("error", err))
	}
	return nil
}

// consumeOnce is one round: what has come, what is due, what was done.
func consumeOnce(ctx context.Context, source Source, lanes *Lanes, batch int) error {
	wait := receiveWait
	if due, ok := lanes.NextTry(); ok {
		wait = min(wait, due)
	}
	room := maxHeld - lanes.Held()
	var received error
	if room > 0 {
		var items []*Item
		items, received = source.Receive(ctx, min(room, batch), wait)
		lanes.Add(items...)
	} else {
		pause(ctx, wait)
	}
	_, away := lanes.Work(ctx)
	// What was settled is reported also when the subscription is about to end.
	report, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	return cmp.Or(received, away, source.Report(report))
}

func pause(ctx context.Context, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
