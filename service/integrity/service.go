// Package integrity proves the books all the time: every few seconds what has happened since the last look, and at a slow interval
// everything. What is found broken is told, and the accounts that it concerns are frozen; all else goes on.
package integrity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/integrity"
	"florin/pkg/lease"
)

// The leases under which of all servers one proves.
const (
	logLease  = "integrity"
	fullLease = "integrity-full"
)

// Config is what a Service is built from. Zero fields after Log take the defaults named.
type Config struct {
	Proofs integrity.Proofs
	Leases lease.Leases
	// Freeze takes an account out of use. errs.NotFound and errs.Refused are final: there is nothing to freeze.
	Freeze func(ctx context.Context, accountID uuid.UUID, by account.Operator) error
	// Alert counts something that a person must look at.
	Alert  func(kind string)
	Holder string // names this server in the leases, for people
	Clock  account.Clock
	Log    *slog.Logger
	// Every is the pause between two looks at the log; 2 s.
	Every time.Duration
	// Batch is how many events a look takes at most; 500.
	Batch int
	// FullEvery is the time between two passes over all books; 24 h.
	FullEvery time.Duration
	// FullAfter is how long a server waits with the first pass, so that what a downtime has left over is worked off by then; 5 min.
	FullAfter time.Duration
}

const (
	leaseTTL    = 10 * time.Second
	roundWithin = 8 * time.Second // below leaseTTL
	fullWithin  = 2 * time.Hour
)

// Service is the proof. Of its loops on any number of servers one works, the others stand by.
type Service struct {
	cfg     Config
	started time.Time
	lease   *lease.Held // on the log
}

// restFor is how many times as long as a round took the next one waits, while there is always more.
const restFor = 7

// New returns the proof; Run and RunFull are its loops.
func New(cfg Config) *Service {
	orElse(&cfg.Every, 2*time.Second)
	orElse(&cfg.Batch, 500)
	orElse(&cfg.FullEvery, 24*time.Hour)
	orElse(&cfg.FullAfter, 5*time.Minute)
	return &Service{cfg: cfg, started: cfg.Clock(), lease: lease.New(cfg.Leases, logLease, cfg.Holder, leaseTTL, cfg.Clock)}
}

func orElse[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

// State tells how far the books are proved.
func (s *Service) State(ctx context.Context) (integrity.State, error) { return s.cfg.Proofs.State(ctx) }

// Run proves the log until ctx ends, and gives the lease back.
func (s *Service) Run(ctx context.Context) error {
	err := s.loop(ctx, s.cfg.Every, "proof of the log failed, will try again", func(ctx context.Context) (bool, error) {
		events, err := s.RunOnce(ctx)
		return events == s.cfg.Batch, err
	})
	if err := s.lease.Release(ctx); err != nil {
		s.cfg.Log.WarnContext(ctx, "proof of the log ended with its lease held", "error", err)
	}
	return err
}

// RunFull proves all books whenever that is due, until ctx ends.
func (s *Service) RunFull(ctx context.Context) error {
	return s.loop(ctx, time.Minute, "proof of all books failed, will try again", func(ctx context.Context) (bool, error) {
		if s.cfg.Clock().Sub(s.started) < s.cfg.FullAfter {
			return false, nil
		}
		return false, s.RunFullOnce(ctx)
	})
}

func (s *Service) loop(ctx context.Context, every time.Duration, failed string, step func(ctx context.Context) (more bool, err error)) error {
	next := time.NewTimer(every)
	defer next.Stop()
	for {
		began := s.cfg.Clock()
		more, err := step(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, failed, "error", err)
		}
		pause := every
		if more && err == nil {
			// Proving is the lesser work where there is more than it can follow: it takes an eighth of a processor at the most, and
			// is behind until the load is over.
			pause = restFor * s.cfg.Clock().Sub(began)
		}
		next.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
	}
}

// RunOnce looks at the next events of the log, tells what it finds and freezes the accounts concerned. It returns how many events it
// has looked at: 0 at the end of the log and where another server proves.
func (s *Service) RunOnce(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, roundWithin)
	defer cancel()
	// Nothing has happened most of the time, and looking costs a read: the lease is touched only when there is work.
	pending, err := s.cfg.Proofs.Pending(ctx)
	if err != nil || !pending {
		return 0, err
	}
	mine, err := s.lease.Keep(ctx)
	if err != nil || !mine {
		return 0, err
	}
	round, err := s.cfg.Proofs.ProveLog(ctx, s.lease.Fence(), s.cfg.Batch)
	if errors.Is(err, integrity.ErrFenced) {
		s.lease.Forget()
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return round.Events, s.handle(ctx, round.Unhandled)
}

// RunFullOnce proves all books if that is due and no other server does it.
func (s *Service) RunFullOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fullWithin)
	defer cancel()
	state, err := s.cfg.Proofs.State(ctx)
	if err != nil || s.cfg.Clock().Sub(state.FullAt) < s.cfg.FullEvery {
		return err
	}
	full := lease.New(s.cfg.Leases, fullLease, s.cfg.Holder, fullWithin, s.cfg.Clock)
	mine, err := full.Keep(ctx)
	if err != nil || !mine {
		return err
	}
	round, err := s.cfg.Proofs.ProveAll(ctx)
	if err == nil {
		err = s.handle(ctx, round.Unhandled)
	}
	return errors.Join(err, full.Release(ctx))
}

// handle tells of each finding and freezes its accounts. One that could not be handled comes again with the next round.
func (s *Service) handle(ctx context.Context, findings []integrity.Finding) error {
	var failures []error
	for _, f := range findings {
		if err := s.handleOne(ctx, f); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func (s *Service) handleOne(ctx context.Context, f integrity.Finding) error {
	for _, id := range f.Accounts {
		err := s.cfg.Freeze(ctx, id, account.Operator{Name: "system", Reason: "integrity: " + f.Invariant + " does not hold"})
		if kind := errs.KindOf(err); err != nil && kind != errs.NotFound && kind != errs.Refused {
			return err
		}
	}
	s.cfg.Alert("integrity")
	s.cfg.Log.ErrorContext(ctx, "alert: integrity", "alert", "integrity", "invariant", f.Invariant, "subject", f.Subject, "detail", f.Detail,
		"frozen", len(f.Accounts))
	return s.cfg.Proofs.Handled(ctx, f.ID)
}
