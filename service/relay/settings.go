package relay

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// Settings tune the relay and its subscribers. Now is required; all else has a working zero.
type Settings struct {
	// Holder names this server in the leases, for people.
	Holder string
	// Now is the time that leases are measured by.
	Now account.Clock
	// Batch is how many commits are moved, or events read, at once, 500 when 0.
	Batch int
	// Interval is the fall-back for a wake that was missed, 250 ms when 0.
	Interval time.Duration
	// LeaseTTL is how long a lease holds without being renewed, 10 s when 0. It is renewed when half of it is over. A
	// server that died keeps its successor waiting that long.
	LeaseTTL time.Duration
	// RetryMin and RetryMax bound the growing delay after an error, 100 ms and 10 s when 0.
	RetryMin, RetryMax time.Duration
	// EventRetry is for an event that a durable subscriber's handler fails; see eventbus.Retry.
	EventRetry eventbus.Retry
	// DeadLetters takes the events that durable subscribers set aside. Without it they are tried for ever.
	DeadLetters eventbus.DeadLetters
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// Hooks are for metrics.
	Hooks Hooks
}

// Hooks report what happens. Each may be nil, and none may block.
type Hooks struct {
	// Moved is called with the number of events that got positions in one commit.
	Moved func(events int)
	// Handled is called with the number of events that a subscriber worked off in one batch.
	Handled func(subscriber string, events int)
	// Failed is called when a batch ended with an error; the relay's own name is "relay". It comes again with each
	// retry, so a rate above zero for long means that this subscriber stands still.
	Failed func(name string, err error)
	// EventFailed is called for each try of an event that failed. The subscriber goes on with other transactions.
	EventFailed func(subscriber string, err error)
	// SetAside is called for each event that became a dead letter.
	SetAside func(subscriber, reason string)
}

func (s Settings) withDefaults() Settings {
	setIfZero(&s.Batch, 500)
	setIfZero(&s.Interval, 250*time.Millisecond)
	setIfZero(&s.LeaseTTL, 10*time.Second)
	setIfZero(&s.RetryMin, 100*time.Millisecond)
	setIfZero(&s.RetryMax, 10*time.Second)
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	return s
}

func setIfZero[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func (s Settings) retry() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = s.RetryMin, s.RetryMax
	b.Reset()
	return b
}

func (s Settings) failed(ctx context.Context, name string, err error, retryIn time.Duration) {
	s.Logger.WarnContext(ctx, "event loop failed, will retry", slog.String("loop", name),
		slog.Duration("retry_in", retryIn), slog.Any("error", err))
	if s.Hooks.Failed != nil {
		s.Hooks.Failed(name, err)
	}
}

// A relay that has moved many events twice in a row rests before it moves more: what arrives meanwhile is moved together, and most
// of the time processors and disk are the payments'. Its subscribers, whom it wakes, need no rests of their own. An event of a
// quiet time leaves at once, also behind a moment in which the database stood still.
const (
	shortRest, manyEvents    = 20 * time.Millisecond, 16
	longRest, veryManyEvents = 100 * time.Millisecond, 32 // in the time of a short rest
)

// restAfter is how long is rested after a step that has moved events and had rested before it.
func restAfter(events int, rested time.Duration) time.Duration {
	switch events /= int(max(rested, shortRest) / shortRest); {
	case events >= veryManyEvents:
		return longRest
	case events >= manyEvents:
		return shortRest
	default:
		return 0
	}
}

// pace is when the next step of a loop is worth while: when it is woken or the pause is over, at once where that is 0.
type pace struct {
	pause time.Duration
	moved int // events, of a relay
}

// loop calls step until ctx ends, at its pace, and after an error only when its growing delay is over, whoever wakes.
func (s Settings) loop(ctx context.Context, name string, wake <-chan struct{}, step func() (pace, error)) {
	retry := s.retry()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	sleep := func(d time.Duration, listen <-chan struct{}) {
		if d <= 0 {
			return
		}
		timer.Reset(d)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-listen:
		}
	}
	var wish, rested time.Duration
	for ctx.Err() == nil {
		next, err := step()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			delay := retry.NextBackOff()
			s.failed(ctx, name, err, delay)
			sleep(delay, nil)
		default:
			retry.Reset()
			before := wish
			wish = restAfter(next.moved, rested)
			rested = min(before, wish)
			sleep(rested, nil)
			sleep(next.pause, wake)
		}
	}
}

// signal wakes whoever reads the channel, once, and never waits.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
