// Package reconcile compares what we know with what providers have to tell: events whose webhooks never came are applied, and
// our clearing accounts are compared with each provider's own list.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/pkg/lease"
)

// leaseName is the work of which there must be one.
const leaseName = "reconcile"

// Received takes a provider's event as its webhook would have brought it. A nil error means that it is stored or has had its
// effect.
type Received interface {
	PublishPaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error
}

// Meter counts what is seen from outside.
type Meter interface {
	// Listed counts events that were applied because the provider listed them.
	Listed(provider string, events int)
	// Alert counts something that a person must look at.
	Alert(kind string)
}

// Config is what a Service is built from. Zero fields after Meter take the defaults named.
type Config struct {
	Store     account.Reconciliations
	Leases    lease.Leases
	Received  Received
	Providers map[string]account.PaymentProvider
	// Listers are the providers that list all that they hold for us, by name.
	Listers map[string]account.MovementLister
	Clock   account.Clock
	Log     *slog.Logger
	Meter   Meter
	// Holder names this server in the lease, for people.
	Holder string
	// Look is the pause between two looks for what is due; 1 s.
	Look time.Duration
	// ListEvery is how often events are listed; 30 s. With Grace it stays well below the 5 min in which a payment must be settled.
	ListEvery time.Duration
	// MatchEvery is how often the clearing accounts are compared; 24 h.
	MatchEvery time.Duration
	// Grace is how old an event must be before it counts as one whose webhook does not come; 60 s.
	Grace time.Duration
	// MatchGrace is how old a difference must be to count; 5 min.
	MatchGrace time.Duration
	// CallTimeout is the deadline of one call to a provider; 15 s.
	CallTimeout time.Duration
	// LeaseTTL is how long a server that died keeps its successor waiting; 60 s. It is renewed with every page.
	LeaseTTL time.Duration
}

// Service reconciles with all configured providers. Its methods are safe for concurrent use.
type Service struct {
	cfg Config

	mu    sync.Mutex
	rests map[string]time.Time // what failed is not tried again before
}

// New returns a service; Run starts its loop.
func New(cfg Config) *Service {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orDuration(&cfg.Look, time.Second)
	orDuration(&cfg.ListEvery, 30*time.Second)
	orDuration(&cfg.MatchEvery, 24*time.Hour)
	orDuration(&cfg.Grace, time.Minute)
	orDuration(&cfg.MatchGrace, 5*time.Minute)
	orDuration(&cfg.CallTimeout, 15*time.Second)
	orDuration(&cfg.LeaseTTL, time.Minute)
	return &Service{cfg: cfg, rests: map[string]time.Time{}}
}

// Run works until ctx ends. Any number of servers may run it: of them one works at a time.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Look)
	defer tick.Stop()
	for {
		if _, err := s.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "reconciliation failed, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce does what is due, and answers false where nothing was or where another server has the lease. A provider that fails
// keeps no other waiting; the error is of all that failed.
func (s *Service) RunOnce(ctx context.Context) (worked bool, err error) {
	due, err := s.due(ctx)
	if err != nil || due.nothing() {
		return false, err
	}
	held := lease.New(s.cfg.Leases, leaseName, s.cfg.Holder, s.cfg.LeaseTTL, s.cfg.Clock)
	mine, err := held.Keep(ctx)
	if err != nil || !mine {
		return false, err
	}
	defer func() {
		if err := held.Release(ctx); err != nil {
			s.cfg.Log.WarnContext(ctx, "reconciliation ended with its lease held", "error", err)
		}
	}()
	var failures []error
	for _, provider := range due.listings {
		failures = append(failures, s.rest("list", provider, s.list(ctx, provider, held)))
	}
	for _, provider := range due.matches {
		failures = append(failures, s.rest("match", provider, s.match(ctx, provider, held)))
	}
	err = errors.Join(failures...)
	return true, errors.Join(err, s.finish(ctx, due.requests, err))
}

// finish tells those who asked for the run.
func (s *Service) finish(ctx context.Context, requests []uuid.UUID, failed error) error {
	if len(requests) == 0 {
		return nil
	}
	failure := ""
	if failed != nil {
		failure = "a provider or the database did not answer; the server's log says why"
	}
	return s.cfg.Store.FinishRequests(ctx, requests, failure)
}

// rest keeps what has failed from being tried again at once.
func (s *Service) rest(what, provider string, err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	s.rests[what+" "+provider] = s.cfg.Clock().Add(s.cfg.ListEvery)
	s.mu.Unlock()
	return fmt.Errorf("%s %s: %w", what, provider, err)
}

func (s *Service) resting(what, provider string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.rests[what+" "+provider])
}

// keep lengthens the lease of a round. account.ErrLeaseLost where another server had it meanwhile.
func keep(ctx context.Context, held *lease.Held) error {
	fence := held.Fence()
	mine, err := held.Keep(ctx)
	if err == nil && (!mine || held.Fence() != fence) {
		err = account.ErrLeaseLost
	}
	return err
}
