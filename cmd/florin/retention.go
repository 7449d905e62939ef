package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"florin/domain/account"
)

// answersKept is how long the answer to an Idempotency-Key is given again; the key itself is kept for ever.
const answersKept = 30 * 24 * time.Hour

// retention is a loop that any number of servers may run: clearing what is cleared already does nothing.
type retention struct {
	purge           func(ctx context.Context, before time.Time) (int, error)
	purgeDeliveries func(ctx context.Context, before time.Time) (int, error)
	purgeOrigins    func(ctx context.Context, before time.Time) (int, error)
	now             account.Clock
	log             *slog.Logger
	every           time.Duration
}

// Run clears at once and then every so often, until ctx ends.
func (r retention) Run(ctx context.Context) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		if err := r.RunOnce(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "retention failed, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// originsKept is how long it is known from which address a deposit was asked for; the guard against card testing looks an hour back.
const originsKept = 7 * 24 * time.Hour

// RunOnce clears the answers, the deliveries and the addresses that are older than is promised.
func (r retention) RunOnce(ctx context.Context) error {
	cleared, errAnswers := r.purge(ctx, r.now().Add(-answersKept))
	if cleared > 0 {
		r.log.InfoContext(ctx, "old answers cleared", "count", cleared)
	}
	removed, errDeliveries := r.purgeDeliveries(ctx, r.now().Add(-deliveriesKept))
	if removed > 0 {
		r.log.InfoContext(ctx, "old webhook deliveries removed", "count", removed)
	}
	forgotten, errOrigins := r.purgeOrigins(ctx, r.now().Add(-originsKept))
	if forgotten > 0 {
		r.log.InfoContext(ctx, "addresses of old deposits removed", "count", forgotten)
	}
	return errors.Join(errAnswers, errDeliveries, errOrigins)
}
