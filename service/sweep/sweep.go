// Package sweep takes up what is open and due: payments whose provider has not confirmed, and events that were stored
// without their effect. Nothing is failed because its outcome is unknown.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"florin/domain/account"
)

// Payments is what the sweep does with what it has claimed.
type Payments interface {
	// Resume goes on with an open payment.
	Resume(ctx context.Context, t *account.Transaction) error
	// Retry works a stored event off.
	Retry(ctx context.Context, row *account.InboxRecord) error
}

// Config is what a Sweep is built from. Zero fields after Log take the defaults named.
type Config struct {
	Due      account.Due
	Payments Payments
	Clock    account.Clock
	Log      *slog.Logger
	// Every is the pause between two rounds that found nothing; 1 s.
	Every time.Duration
	// Batch is how many rows a round claims; 64.
	Batch int
	// Parallel is how many of them are worked on at once; 8.
	Parallel int
	// Within is the deadline of one row; 30 s.
	Within time.Duration
}

// Sweep is a loop that any number of servers may run at once: each row is claimed by one of them.
type Sweep struct{ cfg Config }

// New returns a sweep; Run starts it.
func New(cfg Config) *Sweep {
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Batch == 0 {
		cfg.Batch = 64
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 8
	}
	if cfg.Within == 0 {
		cfg.Within = 30 * time.Second
	}
	return &Sweep{cfg}
}

// Run works until ctx ends and returns when all that it started has ended.
func (s *Sweep) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for {
		n, err := s.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "sweep round failed", "error", err)
		}
		if n == s.cfg.Batch && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce claims what is due, works on it and returns how many rows it took up. A row that could not be settled is due
// again later; that is logged, not returned. The error is that of claiming.
func (s *Sweep) RunOnce(ctx context.Context) (int, error) {
	now := s.cfg.Clock()
	events, errEvents := s.cfg.Due.ClaimInbox(ctx, now, s.cfg.Batch, func(tries int) time.Time { return now.Add(retryAfter(tries)) })
	payments, errPayments := s.cfg.Due.ClaimTransactions(ctx, now, s.cfg.Batch, func(tries int) time.Time { return now.Add(askAfter(tries)) })
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(s.cfg.Parallel)
	for _, row := range events {
		work.Go(func() error {
			s.one(workCtx, "event", row.ID.String(), func(ctx context.Context) error { return s.cfg.Payments.Retry(ctx, row) })
			return nil
		})
	}
	for _, t := range payments {
		work.Go(func() error {
			s.one(workCtx, "transaction", t.ID.String(), func(ctx context.Context) error { return s.cfg.Payments.Resume(ctx, t) })
			return nil
		})
	}
	return len(events) + len(payments), errors.Join(errEvents, errPayments, work.Wait())
}

func (s *Sweep) one(ctx context.Context, what, id string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Within)
	defer cancel()
	if err := do(ctx); err != nil {
		s.cfg.Log.WarnContext(ctx, "open "+what+" not settled yet", what+"_id", id, "error", err)
	}
}

// retryAfter is when an event is worked on again after so many tries: 1 s, 2 s, 4 s, … 5 min.
func retryAfter(tries int) time.Duration { return growing(time.Second, tries, 5*time.Minute) }

// askAfter is when a payment is asked about again after so many tries: 15 s, 30 s, … 4 min.
func askAfter(tries int) time.Duration { return growing(15*time.Second, tries, 4*time.Minute) }

func growing(first time.Duration, tries int, limit time.Duration) time.Duration {
	if tries > 20 {
		return limit
	}
	return min(first<<max(tries, 0), limit)
}
