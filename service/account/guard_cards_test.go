package account_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/infra/fx/fixed"
	accountsvc "florin/service/account"
)

// tallied are counts of deposits that a test sets.
type tallied struct {
	failed, completed account.DepositCount
	since             time.Time
	address           string
	noted             []string
	err               error
}

func (c *tallied) NoteOrigin(_ context.Context, _ uuid.UUID, address string, _ time.Time) error {
	c.noted = append(c.noted, address)
	return nil
}

func (c *tallied) CountFailed(_ context.Context, _ uuid.UUID, address string, since time.Time) (account.DepositCount, error) {
	c.address, c.since = address, since
	return c.failed, c.err
}

func (c *tallied) CountCompleted(context.Context, uuid.UUID, string, time.Time) (account.DepositCount, error) {
	return c.completed, nil
}

func TestS32_DepositsThatFailAgainAndAgainAreSlowed(t *testing.T) {
	count := func(onAccount, fromAddress int) account.DepositCount {
		return account.DepositCount{OnAccount: onAccount, FromAddress: fromAddress}
	}
	for name, test := range map[string]struct {
		failed, completed account.DepositCount
		limited           bool
	}{
		"none":                                 {count(0, 0), count(0, 0), false},
		"one less than too many":               {count(9, 29), count(0, 0), false},
		"ten on the account":                   {count(10, 10), count(0, 0), true},
		"ten, and nine were paid":              {count(10, 10), count(9, 9), true},
		"ten, and as many were paid":           {count(10, 10), count(10, 10), false},
		"thirty from the address":              {count(0, 30), count(0, 0), true},
		"thirty, and twenty-nine were paid":    {count(0, 30), count(0, 29), true},
		"thirty, and as many were paid":        {count(0, 30), count(0, 30), false},
		"a busy shop at an address of its own": {count(10, 40), count(10, 39), true},
		"a busy shop behind a bad account":     {count(11, 30), count(10, 300), true},
		"both paid as often":                   {count(500, 900), count(500, 900), false},
	} {
		t.Run(name, func(t *testing.T) {
			b, counts := newBench(t), &tallied{failed: test.failed, completed: test.completed}
			b.guardWith(counts)
			id := b.open("EUR")
			asked := b.call(id, "10.00", "EUR")
			asked.Address = "2001:db8:1:2:3:4:5:6"
			_, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: asked})
			require.Equal(t, "2001:db8:1:2::/64", counts.address, "of IPv6 a network counts")
			require.Equal(t, b.now.Add(-time.Hour), counts.since)
			if !test.limited {
				require.NoError(t, err)
				require.Equal(t, []string{"2001:db8:1:2::/64"}, counts.noted)
				return
			}
			var limited *errs.Error
			require.ErrorAs(t, err, &limited)
			require.Equal(t, errs.Limited, limited.Kind)
			require.Positive(t, limited.RetryAfter)
			require.Empty(t, b.store.transactions, "nothing is stored")
			require.Empty(t, counts.noted)
		})
	}
}

// TestS32_WithoutACountNothingIsBegun: a guard that cannot count does not stand aside.
func TestS32_WithoutACountNothingIsBegun(t *testing.T) {
	b := newBench(t)
	b.guardWith(&tallied{err: errors.New("no database")})
	id := b.open("EUR")
	_, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "10.00", "EUR")})
	require.Error(t, err)
	require.Empty(t, b.store.transactions)
}

// guardWith puts the guard against card testing in front of the bench's bank.
func (b *bench) guardWith(counts account.DepositFailures) {
	b.svc = accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger: b.store, Books: b.store, EventBus: b.bus,
		Providers:       accountsvc.Providers{Default: "mock", ByName: map[string]account.PaymentProvider{"mock": b.bank}},
		DepositFailures: map[string]account.DepositFailures{"mock": counts},
		Rates:           fixed.New(), Clock: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
	})
	svc := b.svc
	b.t.Cleanup(func() { require.NoError(b.t, svc.Close(context.Background())) })
}
