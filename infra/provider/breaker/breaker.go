// Package breaker keeps new payments away from a provider that is down, so that they are refused at once in place of
// waiting. Everything that concerns payments which exist goes on: asking about them is what finds out that the provider is
// back.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/money"
)

// Config is what a Provider is built from. Zero fields take the defaults named.
type Config struct {
	// Failures is how many calls in a row must fail by the provider's fault; 5.
	Failures uint32
	// Pause is how long new payments are refused before the next call may show that the provider is back; 10 s.
	Pause time.Duration
	// Now is the clock that the pause is measured by; nil is the system's.
	Now func() time.Time
	// Log is slog.Default when nil.
	Log *slog.Logger
	// Changed is told of each change of state: "closed", "half-open", "open"; nil for nobody.
	Changed func(provider, state string)
}

// Provider is a provider behind a circuit breaker.
type Provider struct {
	account.PaymentProvider
	circuit *circuit
}

var _ account.PaymentChecker = (*Provider)(nil)

// New puts a breaker around the provider.
func New(inner account.PaymentProvider, cfg Config) *Provider {
	if cfg.Failures == 0 {
		cfg.Failures = 5
	}
	if cfg.Pause == 0 {
		cfg.Pause = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	name := inner.Name()
	return &Provider{PaymentProvider: inner, circuit: &circuit{limit: cfg.Failures, pause: cfg.Pause, now: cfg.Now, state: closed,
		changed: func(state string) {
			cfg.Log.Warn("circuit of a payment provider changed", "provider", name, "state", state)
			if cfg.Changed != nil {
				cfg.Changed(name, state)
			}
		}}}
}

// CheckPayment implements account.PaymentChecker: errs.Unavailable while the circuit is open.
func (p *Provider) CheckPayment(kind account.Type, amount money.Money, flow string) error {
	if checker, ok := p.PaymentProvider.(account.PaymentChecker); ok {
		if err := checker.CheckPayment(kind, amount, flow); err != nil {
			return err
		}
	}
	if p.circuit.current() != open {
		return nil
	}
	unavailable := errs.New(errs.Unavailable, "provider_unavailable", "The payment provider does not answer at present. Try again later.")
	unavailable.RetryAfter = p.circuit.pause
	return unavailable
}

// counted makes the call in any case, and counts it as far as the breaker takes notice. A refusal is an answer, and so is that
// there is no such payment. What was cut off by us says nothing.
func counted[T any](p *Provider, call func() (T, error)) (T, error) {
	era, counts := p.circuit.begin()
	got, err := call()
	if counts {
		failed := err != nil && !errors.Is(err, account.ErrProviderRefused) && !errors.Is(err, account.ErrProviderNotFound)
		p.circuit.end(era, failed, !errors.Is(err, context.Canceled))
	}
	return got, err
}

// InitiateDeposit implements account.PaymentProvider.
func (p *Provider) InitiateDeposit(ctx context.Context, in account.DepositInstruction) (account.Initiation, error) {
	return counted(p, func() (account.Initiation, error) { return p.PaymentProvider.InitiateDeposit(ctx, in) })
}

// InitiateWithdraw implements account.PaymentProvider.
func (p *Provider) InitiateWithdraw(ctx context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	return counted(p, func() (account.Initiation, error) { return p.PaymentProvider.InitiateWithdraw(ctx, in) })
}

// GetPaymentStatus implements account.PaymentProvider.
func (p *Provider) GetPaymentStatus(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	return counted(p, func() (account.PaymentReport, error) { return p.PaymentProvider.GetPaymentStatus(ctx, ref) })
}

// CancelPayment implements account.PaymentProvider.
func (p *Provider) CancelPayment(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	return counted(p, func() (account.PaymentReport, error) { return p.PaymentProvider.CancelPayment(ctx, ref) })
}

// RefundPayment implements account.PaymentProvider.
func (p *Provider) RefundPayment(ctx context.Context, in account.RefundInstruction) (account.Initiation, error) {
	return counted(p, func() (account.Initiation, error) { return p.PaymentProvider.RefundPayment(ctx, in) })
}
