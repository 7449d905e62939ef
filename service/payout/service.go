// Package payout onboards users at a provider that pays out to accounts of theirs.
package payout

import (
	"errors"
	"log/slog"

	"florin/domain/account"
	"florin/domain/errs"
)

// ServiceDeps is what the service is built from. Fields without a comment are required.
type ServiceDeps struct {
	// Provider is the name of the provider in our rows; Onboarding is nil where it is not configured.
	Provider   string
	Onboarding account.Onboarding
	Accounts   account.PayoutAccounts
	Clock      account.Clock
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	provider   string
	onboarding account.Onboarding
	accounts   account.PayoutAccounts
	now        account.Clock
	log        *slog.Logger
}

// NewService returns the service, or an error when a part is missing.
func NewService(deps ServiceDeps) (*Service, error) {
	if deps.Provider == "" || deps.Accounts == nil || deps.Clock == nil {
		return nil, errors.New("payout service needs a provider's name, accounts and a clock")
	}
	s := &Service{provider: deps.Provider, onboarding: deps.Onboarding, accounts: deps.Accounts, now: deps.Clock, log: deps.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

func (s *Service) configured() error {
	if s.onboarding == nil {
		return errs.New(errs.Refused, "unknown_provider", "The payment provider is not configured.")
	}
	return nil
}

// atProvider is a provider's error as the client sees it.
func atProvider(err error) error {
	var said *account.ProviderError
	if errors.As(err, &said) && errors.Is(said.Class, account.ErrProviderRefused) {
		return errs.Wrap(err, errs.Refused, "onboarding_refused", "The provider does not onboard this account.")
	}
	unavailable := errs.Wrap(err, errs.Unavailable, "provider_unavailable", "The payment provider does not answer. Try again.")
	if said != nil {
		unavailable.RetryAfter = said.RetryAfter
	}
	return unavailable
}
