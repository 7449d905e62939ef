// Package bank is the mock payment provider's other side: a small bank of its own, spoken to over HTTP. It takes
// payments and payouts, settles them, and tells its customer by signed webhooks (Standard Webhooks).
//
// The bank keeps its own append-only ledger in a file, synced before it answers, so that payments, idempotency
// keys and webhooks that nobody has taken yet survive a kill. Its ledger is the truth that the customer's books
// are compared with. Because it looks payments up in the same memory that it answers from, a look-up never lags:
// what it does not know was never accepted.
//
// A payment whose metadata has "mock_scenario" makes the bank misbehave in one stated way; see scenarios.go.
package bank

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"florin/infra/provider/mock/internal/whsec"
)

// AutocompleteOff as Config.Autocomplete leaves every payment pending until a call settles it.
const AutocompleteOff time.Duration = -1

// Config is what a bank needs. LedgerPath, APIKey and WebhookSecrets are required.
type Config struct {
	// LedgerPath is the file of the bank's ledger, created with mode 0600 where it is missing. Its folder must
	// exist, and no other bank may have the file open.
	LedgerPath string
	// APIKey is the bearer token that every call but /healthz must carry.
	APIKey string
	// WebhookSecrets are whsec_<base64> keys of 24 to 64 bytes. Each webhook carries one signature of each.
	WebhookSecrets []string
	// WebhookURL is where webhooks go. It may be empty and set later with SetWebhookURL; until then they wait.
	WebhookURL string
	// Autocomplete is how long after its creation a payment completes by itself. A negative value is
	// AutocompleteOff, 0 completes at once.
	Autocomplete time.Duration
	// Chaos, when not 0, is the seed from which every payment that asks for no scenario draws one.
	Chaos uint64
	// Logger takes what happens; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Bank is one bank. Its methods are safe for concurrent use.
type Bank struct {
	apiKey       string
	autocomplete time.Duration
	signers      []*standardwebhooks.Webhook
	logger       *slog.Logger
	now          func() time.Time
	client       *http.Client
	ledger       *ledger

	wake     chan struct{}
	halt     chan struct{}
	haltOnce sync.Once

	mu         sync.Mutex
	books      books
	webhookURL string
	active     int // deliveries under way

	// What scenarios need to remember; a restart forgets it.
	scenarioForAll string
	chaos          uint64
	tries          map[string]int // calls, by transaction
	lies           map[string]int // look-ups, by payment
}

// New opens the bank on its ledger and reads it. The caller must Close the bank.
func New(cfg Config) (*Bank, error) {
	if cfg.LedgerPath == "" {
		return nil, errors.New("mock bank: LedgerPath is empty")
	}
	if cfg.APIKey == "" {
		return nil, errors.New("mock bank: APIKey is empty")
	}
	signers, err := whsec.Parse(cfg.WebhookSecrets)
	if err != nil {
		return nil, fmt.Errorf("mock bank: %w", err)
	}
	b := &Bank{
		apiKey:       cfg.APIKey,
		autocomplete: cfg.Autocomplete,
		signers:      signers,
		logger:       cfg.Logger,
		now:          cfg.Now,
		client:       newDeliveryClient(),
		wake:         make(chan struct{}, 1),
		halt:         make(chan struct{}),
		books:        newBooks(),
		webhookURL:   cfg.WebhookURL,
		chaos:        cfg.Chaos,
		tries:        make(map[string]int),
		lies:         make(map[string]int),
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.ledger, err = openLedger(cfg.LedgerPath, b.books.replay)
	if err != nil {
		return nil, fmt.Errorf("mock bank: %w", err)
	}
	return b, nil
}

// SetWebhookURL says where webhooks go from now on; those that wait go there too. "" holds them back.
func (b *Bank) SetWebhookURL(url string) {
	b.mu.Lock()
	b.webhookURL = url
	b.mu.Unlock()
	b.nudge()
}

// PendingWebhooks is how many webhooks have not been taken by the customer yet.
func (b *Bank) PendingWebhooks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.books.pendingWebhooks
}

// Run settles payments and delivers webhooks until ctx is done, and returns when all that it started has ended.
// Create calls whose answer a scenario holds back are dropped then. The error is nil unless the ledger cannot be
// written any more, which also ends Run.
func (b *Bank) Run(ctx context.Context) error {
	var deliveries sync.WaitGroup
	defer b.stop()
	defer deliveries.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		jobs, next, err := b.collect()
		if err != nil {
			return fmt.Errorf("run mock bank: %w", err)
		}
		for _, job := range jobs {
			deliveries.Go(func() { b.deliver(ctx, job) })
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(0, next.Sub(b.now())))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-timer.C:
		}
	}
}

// Step does what is due now, once: it settles payments, makes one attempt at each webhook that is due and
// waits for them. It returns how many payments it settled and webhooks it attempted. For tests, in place of Run.
func (b *Bank) Step(ctx context.Context) (int, error) {
	before := b.settled()
	jobs, _, err := b.collect()
	if err != nil {
		return 0, fmt.Errorf("step mock bank: %w", err)
	}
	var deliveries sync.WaitGroup
	for _, job := range jobs {
		deliveries.Go(func() { b.deliver(ctx, job) })
	}
	deliveries.Wait()
	return b.settled() - before + len(jobs), nil
}

// Close writes what waits to the ledger and closes it. Calls that change something answer 503 from then on. Stop
// Run and the server of Handler first.
func (b *Bank) Close() error {
	b.stop()
	if err := b.ledger.close(); err != nil {
		return fmt.Errorf("close mock bank: %w", err)
	}
	return nil
}

func (b *Bank) stop() {
	b.haltOnce.Do(func() { close(b.halt) })
	b.client.CloseIdleConnections()
}

func (b *Bank) settled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.books.settled
}

// nudge wakes Run: there may be something to do.
func (b *Bank) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
