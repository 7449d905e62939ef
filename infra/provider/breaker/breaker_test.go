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

// clock is a clock that stands until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func ask(p *breaker.Provider) { _, _ = p.GetPaymentStatus(context.Background(), account.PaymentRef{}) }

func TestF33_AQuestionIsTheProbe(t *testing.T) {
	inner, told, c := &scripted{err: errors.New("down")}, &states{}, &clock{at: time.Unix(1767268800, 0)}
	p := breaker.New(inner, breaker.Config{Failures: 2, Pause: time.Minute, Now: c.now, Changed: told.changed})
	ask(p)
	inner.err = nil
	ask(p)
	inner.err = errors.New("down")
	ask(p)
	require.NoError(t, check(p), "failures count in a row only")
	ask(p)
	require.Error(t, check(p))
	inner.err = nil
	ask(p)
	require.Error(t, check(p), "an answer within the pause is of a call that may be older")
	inner.err = errors.New("down")
	c.advance(time.Minute - time.Nanosecond)
	require.Error(t, check(p), "the pause is not over")
	c.advance(time.Nanosecond)
	require.NoError(t, check(p), "one may try")
	ask(p)
	require.Error(t, check(p), "it is still down: one failure is enough, and the pause begins again")
	c.advance(time.Minute)
	inner.err = nil
	ask(p)
	require.NoError(t, check(p))
	inner.err = errors.New("down")
	ask(p)
	require.NoError(t, check(p), "it counts from none again")
	require.Equal(t, []string{"open", "half-open", "open", "half-open", "closed"}, told.seen)
}

// TestF33_AClockThatIsSetBackEndsThePause: a circuit must not stay open for as long as the clock was ahead.
func TestF33_AClockThatIsSetBackEndsThePause(t *testing.T) {
	inner, c := &scripted{err: errors.New("down")}, &clock{at: time.Unix(1767268800, 0)}
	p := breaker.New(inner, breaker.Config{Failures: 1, Pause: time.Minute, Now: c.now})
	ask(p)
	require.Error(t, check(p))
	c.advance(-24 * time.Hour)
	require.NoError(t, check(p))
}

// nested is a provider during whose call other things happen.
type nested struct {
	account.PaymentProvider
	during func() error
}

func (*nested) Name() string { return "nested" }

func (n *nested) GetPaymentStatus(context.Context, account.PaymentRef) (account.PaymentReport, error) {
	during := n.during
	n.during = nil
	return account.PaymentReport{}, during()
}

// TestF33_OutcomesOfAnEarlierTimeDoNotCount: a call that began before the circuit opened, and ends after it, tells nothing of
// now; and while one call probes, a second one's failure is not another.
func TestF33_OutcomesOfAnEarlierTimeDoNotCount(t *testing.T) {
	c := &clock{at: time.Unix(1767268800, 0)}
	inner, down := &nested{}, errors.New("down")
	p := breaker.New(inner, breaker.Config{Failures: 1, Pause: time.Minute, Now: c.now})
	inner.during = func() error {
		inner.during = func() error { return down }
		ask(p) // opens it
		c.advance(time.Minute)
		require.NoError(t, check(p), "half open")
		return down // of the call that began while it was closed
	}
	ask(p)
	require.NoError(t, check(p), "the late failure does not open it again")

	inner.during = func() error { // the probe
		inner.during = func() error { return down }
		ask(p) // beside it
		require.NoError(t, check(p))
		return nil
	}
	ask(p)
	inner.during = func() error { return context.Canceled }
	ask(p)
	require.NoError(t, check(p), "closed by the probe alone")
}
