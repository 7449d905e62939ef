// Package account runs the payment flow: it initiates deposits and withdrawals with a provider, posts
// transfers, and applies what providers confirm, each exactly once.
package account

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
	"florin/pkg/eventbus"
)

// ServiceDeps is what the service is built from. Fields without a comment are required.
type ServiceDeps struct {
	Ledger    account.Ledger
	Books     account.Books
	EventBus  eventbus.Publisher
	Providers Providers
	Rates     fx.Source
	// PayoutAccounts are, by provider, the accounts that payees have there; a provider without any is told whom to pay.
	PayoutAccounts map[string]account.PayoutAccounts
	// DepositFailures are, by provider, what the guard against card testing counts; a provider without any is not guarded.
	DepositFailures map[string]account.DepositFailures
	// Reviews are read for operators; nil where none look.
	Reviews account.Reviews
	// Waiter answers Prefer: wait; nil answers at once.
	Waiter Waiter
	// Clock is UTC with microseconds, what both databases keep.
	Clock account.Clock
	// Log is slog.Default when nil.
	Log *slog.Logger
	// Meter counts; nil counts nothing.
	Meter Meter
	// Limits has a working zero value.
	Limits Limits
}

// Limits are the service's bounds. Zero fields take the defaults named.
type Limits struct {
	// Amount is the largest single amount, in the currency's own units; "1000000000.00".
	Amount string
	// PaymentDeadline is how long a payment may stay open; 24 h.
	PaymentDeadline time.Duration
	// ReplyWithin is how long a request waits for the provider; 5 s.
	ReplyWithin time.Duration
	// CallTimeout is the deadline of one provider call; 8 s.
	CallTimeout time.Duration
	// Recheck is when the sweep takes up a payment whose call was never answered; 8.5 s. It is above CallTimeout, and with
	// the sweep's own pause a payment that a crash has stranded moves on within 10 s (F21).
	Recheck time.Duration
	// QuoteTTL is how long a quote may be used to initiate; 10 min.
	QuoteTTL time.Duration
	// Calls is how many provider calls may run at once; 256. Beyond it the sweep makes the call.
	Calls int
	// Tries is after how many failed attempts a stored event becomes a dead letter; 8.
	Tries int
	// OpenDeposits and Accounts are how many a user may have open at once; 50 and 100.
	OpenDeposits int
	Accounts     int
	// ParkFor is how long an event for an unknown payment is kept looking; 72 h.
	ParkFor time.Duration
}

func (l Limits) withDefaults() Limits {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	if l.Amount == "" {
		l.Amount = "1000000000.00"
	}
	orDuration(&l.PaymentDeadline, 24*time.Hour)
	orDuration(&l.ReplyWithin, 5*time.Second)
	orDuration(&l.CallTimeout, 8*time.Second)
	orDuration(&l.Recheck, 8500*time.Millisecond)
	orDuration(&l.QuoteTTL, 10*time.Minute)
	orDuration(&l.ParkFor, 72*time.Hour)
	if l.Calls == 0 {
		l.Calls = 256
	}
	if l.Tries == 0 {
		l.Tries = 8
	}
	if l.OpenDeposits == 0 {
		l.OpenDeposits = 50
	}
	if l.Accounts == 0 {
		l.Accounts = 100
	}
	return l
}

// Waiter holds a caller until done says yes or ctx ends, and says which. It returns early, without an error, when the program
// shuts down.
type Waiter interface {
	Wait(ctx context.Context, transactionID uuid.UUID, done func(ctx context.Context) (bool, error)) (bool, error)
}

// Meter counts what is seen from outside.
type Meter interface {
	// Moved counts a status move of a committed transaction.
	Moved(t account.Type, from, to account.PaymentStatus)
	// Received counts an event of a provider by what became of it.
	Received(provider string, verdict account.InboxStatus)
	// Called counts a provider call.
	Called(provider, operation, outcome string, took time.Duration)
	// Alert counts something that a person must look at.
	Alert(kind string)
}

// Service is the use cases on accounts. Its methods are safe for concurrent use.
type Service struct {
	ledger    account.Ledger
	books     account.Books
	reviews   account.Reviews
	bus       eventbus.Publisher
	chains    chains
	providers Providers
	rates     fx.Source
	payees    map[string]account.PayoutAccounts
	cards     map[string]account.DepositFailures
	waiter    Waiter
	now       account.Clock
	log       *slog.Logger
	meter     Meter
	limits    Limits
	tracer    trace.Tracer

	calls   chan struct{}
	running sync.WaitGroup
	stop    context.CancelFunc
	alive   context.Context
}

// NewService builds the service. It starts nothing by itself; Close ends what its requests started.
func NewService(deps ServiceDeps) *Service {
	limits := deps.Limits.withDefaults()
	alive, stop := context.WithCancel(context.Background())
	s := &Service{
		ledger: deps.Ledger, books: deps.Books, reviews: deps.Reviews, bus: deps.EventBus, chains: newChains(deps.EventBus),
		providers: deps.Providers, rates: deps.Rates, payees: deps.PayoutAccounts, cards: deps.DepositFailures,
		waiter: deps.Waiter, now: deps.Clock, log: deps.Log, meter: deps.Meter, limits: limits,
		tracer: otel.Tracer("florin/service/account"),
		calls:  make(chan struct{}, limits.Calls), alive: alive, stop: stop,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.meter == nil {
		s.meter = noMeter{}
	}
	return s
}

// Close waits for the provider calls that requests have started, until ctx ends; then it cuts them off. What is
// cut off is taken up by the sweep.
func (s *Service) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.stop()
		return nil
	case <-ctx.Done():
		s.stop()
		<-done
		return ctx.Err()
	}
}

// Providers are the configured payment providers.
type Providers struct {
	// Default is used where a request names none.
	Default string
	ByName  map[string]account.PaymentProvider
}

// Named returns the provider, the default one for "". It is errs.Refused for one that is not configured.
func (p Providers) Named(name string) (account.PaymentProvider, error) {
	if name == "" {
		name = p.Default
	}
	provider, ok := p.ByName[name]
	if !ok {
		return nil, errs.InField("provider", "unknown_provider", "The payment provider is not configured.")
	}
	return provider, nil
}

// Call is what every money request carries beside its own fields.
type Call struct {
	UserID    uuid.UUID
	AccountID uuid.UUID
	// Amount is decimal text in major units, as the client wrote it; Currency its ISO 4217 code.
	Amount   string
	Currency string
	Metadata map[string]string
	// Provider is "" for the default.
	Provider string
	// Key is the client's Idempotency-Key, nil for none.
	Key *Key
	// Wait is how long the answer may be held until the transaction is terminal.
	Wait time.Duration
	// DryRun computes the answer and stores nothing.
	DryRun bool
	// Address is where the request came from, "" where that is not known.
	Address     string
	RequestID   string
	TraceParent string
}

// Key is an Idempotency-Key together with the request that it stands for.
type Key struct {
	Value       string
	Fingerprint string // of method, route, ids and canonical body
	// Render makes the answer that is stored and given again to a repeat.
	Render func(*Outcome) account.Answer
}

// Outcome is a use case's result.
type Outcome struct {
	Transaction *account.Transaction
	// Side is the account that the transaction is seen from.
	Side uuid.UUID
	// Answer is what is kept for repeats of the request, or what was kept of its first one: then Replayed says so. Where it
	// is set, it is the answer.
	Answer   *account.Answer
	Replayed bool
	// Balances are the accounts as they would be, for a dry run.
	Balances []Balance
}

// Balance is an account's balance.
type Balance struct {
	AccountID uuid.UUID
	Posted    money.Money
	Held      money.Money
	Available money.Money
}

func (s *Service) alert(ctx context.Context, kind string, args ...any) {
	s.meter.Alert(kind)
	s.log.ErrorContext(ctx, "alert: "+kind, append([]any{"alert", kind}, args...)...)
}

func isKind(err error, kind errs.Kind) bool {
	var e *errs.Error
	return errors.As(err, &e) && e.Kind == kind
}

type noMeter struct{}

func (noMeter) Moved(account.Type, account.PaymentStatus, account.PaymentStatus) {}
func (noMeter) Received(string, account.InboxStatus)                             {}
func (noMeter) Called(string, string, string, time.Duration)                     {}
func (noMeter) Alert(string)                                                     {}
