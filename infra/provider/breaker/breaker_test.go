package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
	"florin/infra/provider/breaker"
)

// scripted is a provider that answers with what it is told to.
type scripted struct {
	account.PaymentProvider
	err   error
	calls int
}

func (*scripted) Name() string { return "scripted" }

func (s *scripted) GetPaymentStatus(context.Context, account.PaymentRef) (account.PaymentReport, error) {
	s.calls++
	return account.PaymentReport{}, s.err
}

// states is what a breaker tells of itself.
type states struct {
	mu   sync.Mutex
	seen []string
}

func (s *states) changed(_, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, state)
}

func check(p *breaker.Provider) error {
	return p.CheckPayment(account.TypeDeposit, money.New(1, currency.EUR), "")
}

// TestF33_OnlyTheProvidersFaultsCount: refusals, absence and our own hanging up are not its fault.
func TestF33_OnlyTheProvidersFaultsCount(t *testing.T) {
	for _, test := range []struct {
		err   error
		opens bool
	}{
		{&account.ProviderError{Class: account.ErrProviderUnknown}, true},
		{&account.ProviderError{Class: account.ErrProviderRetryable}, true},
		{&account.ProviderError{Class: account.ErrProviderUnknown, Cause: context.DeadlineExceeded}, true},
		{&account.ProviderError{Class: account.ErrProviderRefused}, false},
		{fmt.Errorf("look up: %w", account.ErrProviderNotFound), false},
		{&account.ProviderError{Class: account.ErrProviderUnknown, Cause: context.Canceled}, false},
		{nil, false},
	} {
		inner, told := &scripted{err: test.err}, &states{}
		p := breaker.New(inner, breaker.Config{Failures: 3, Pause: time.Hour, Changed: told.changed})
		for range 5 {
			_, err := p.GetPaymentStatus(t.Context(), account.PaymentRef{})
			require.Equal(t, test.err, err)
		}
		require.Equal(t, 5, inner.calls, "what concerns payments that exist is asked in any case")
		err := check(p)
		if !test.opens {
			require.NoError(t, err, "%v", test.err)
			require.Empty(t, told.seen)
			continue
		}
		require.Equal(t, errs.Unavailable, errs.KindOf(err))
		var unavailable *errs.Error
		require.ErrorAs(t, err, &unavailable)
		require.Equal(t, time.Hour, unavailable.RetryAfter)
		require.Equal(t, []string{"open"}, told.seen)
	}
}

func TestF33_AQuestionIsTheProbe(t *testing.T) {
	inner := &scripted{err: errors.New("down")}
	p := breaker.New(inner, breaker.Config{Failures: 1, Pause: time.Millisecond})
	_, _ = p.GetPaymentStatus(t.Context(), account.PaymentRef{})
	inner.err = nil
	require.Eventually(t, func() bool { return check(p) == nil }, 5*time.Second, time.Millisecond)
	_, err := p.GetPaymentStatus(t.Context(), account.PaymentRef{})
	require.NoError(t, err)
	require.NoError(t, check(p))
}
