package payout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// provider onboards in memory: one account for a key.
type provider struct {
	made  map[string]account.PayoutAccount
	err   error
	asked int
}

func (p *provider) CreatePayoutAccount(_ context.Context, key string, userID uuid.UUID) (account.PayoutAccount, error) {
	if p.err != nil {
		return account.PayoutAccount{}, p.err
	}
	if _, known := p.made[key]; !known {
		p.made[key] = account.PayoutAccount{Provider: "bank", ID: "acct_" + key, UserID: userID}
	}
	return p.made[key], nil
}

func (p *provider) OnboardingLink(_ context.Context, key, id string) (string, error) {
	return "https://bank.example/" + id + "/" + key, p.err
}

func (p *provider) GetPayoutAccount(_ context.Context, id string) (account.PayoutAccount, error) {
	p.asked++
	return account.PayoutAccount{ID: id, Complete: true, PayoutsEnabled: true, UpdatedAt: noon}, p.err
}

// store keeps one account per user.
type store struct {
	account.PayoutAccounts
	kept map[uuid.UUID]account.PayoutAccount
	err  error
}

func (s store) FindPayoutAccount(_ context.Context, _ string, userID uuid.UUID) (account.PayoutAccount, error) {
	if a, found := s.kept[userID]; found {
		return a, nil
	}
	return account.PayoutAccount{}, errs.Missing("Payout account")
}

func (s store) AddPayoutAccount(_ context.Context, a account.PayoutAccount) (account.PayoutAccount, error) {
	if s.err == nil {
		s.kept[a.UserID] = a
	}
	return a, s.err
}

func (s store) UpdatePayoutAccount(_ context.Context, a account.PayoutAccount) error {
	s.kept[a.UserID] = a
	return nil
}

func newService(t *testing.T, p account.Onboarding, s store) *Service {
	service, err := NewService(ServiceDeps{Provider: "bank", Onboarding: p, Accounts: s, Clock: func() time.Time { return noon }})
	require.NoError(t, err)
	return service
}

func TestOnboard(t *testing.T) {
	p, s, user := &provider{made: map[string]account.PayoutAccount{}}, store{kept: map[uuid.UUID]account.PayoutAccount{}}, uuid.New()
	service := newService(t, p, s)
	none, err := service.Status(t.Context(), user)
	require.NoError(t, err)
	require.False(t, none.Complete)

	s.err = errors.New("no disk")
	_, err = newService(t, p, s).Onboard(t.Context(), user)
	require.ErrorIs(t, err, s.err)
	first, err := service.Onboard(t.Context(), user)
	require.NoError(t, err)
	second, err := service.Onboard(t.Context(), user)
	require.NoError(t, err)
	require.NotEqual(t, first, second, "a link works once")
	require.Len(t, p.made, 1, "the account that could not be stored was found again")

	for range 2 {
		done, err := service.Status(t.Context(), user)
		require.NoError(t, err)
		require.True(t, done.PayoutsEnabled)
	}
	require.Equal(t, 1, p.asked, "one that is complete is not asked about")
}

func TestProviderThatDoesNotAnswer(t *testing.T) {
	user := uuid.New()
	p := &provider{err: &account.ProviderError{Class: account.ErrProviderRetryable, RetryAfter: 2 * time.Second}}
	service := newService(t, p, store{kept: map[uuid.UUID]account.PayoutAccount{}})
	_, err := service.Onboard(t.Context(), user)
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	var unavailable *errs.Error
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, 2*time.Second, unavailable.RetryAfter)
	p.err = &account.ProviderError{Class: account.ErrProviderRefused}
	_, err = service.Onboard(t.Context(), user)
	require.Equal(t, "onboarding_refused", errs.CodeOf(err))

	known := newService(t, p, store{kept: map[uuid.UUID]account.PayoutAccount{user: {UserID: user, Complete: true}}})
	told, err := known.Status(t.Context(), user)
	require.NoError(t, err, "what we know is told")
	require.True(t, told.Complete)
	unconfigured := newService(t, nil, store{})
	_, err = unconfigured.Onboard(t.Context(), user)
	require.Equal(t, "unknown_provider", errs.CodeOf(err))
}
