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
	cards             []account.CardFailure
	calledIn          []uuid.UUID
	err               error
}

func (c *tallied) NoteCard(_ context.Context, f account.CardFailure) error {
	c.cards = append(c.cards, f)
	return nil
}

func (c *tallied) CallIn(_ context.Context, _ string, userID uuid.UUID, _ time.Time) (int, error) {
	c.calledIn = append(c.calledIn, userID)
	return 1, nil
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
	count := func(ofUser, fromAddress int) account.DepositCount {
		return account.DepositCount{OfUser: ofUser, FromAddress: fromAddress}
	}
	for name, test := range map[string]struct {
		failed, completed account.DepositCount
		limited           bool
	}{
		"none":                                 {count(0, 0), count(0, 0), false},
		"one less than too many":               {count(9, 29), count(0, 0), false},
		"ten of the user":                      {count(10, 10), count(0, 0), true},
		"ten, and nine were paid":              {count(10, 10), count(9, 9), true},
		"ten, and as many were paid":           {count(10, 10), count(10, 10), false},
		"thirty from the address":              {count(0, 30), count(0, 0), true},
		"thirty, and twenty-nine were paid":    {count(0, 30), count(0, 29), true},
		"thirty, and as many were paid":        {count(0, 30), count(0, 30), false},
		"a busy shop at an address of its own": {count(10, 40), count(10, 39), true},
		"a busy shop of a bad user":            {count(11, 30), count(10, 300), true},
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

// TestS70_WhatAUserHasOpenIsCalledIn: where too many deposits of a user, or with a card of theirs, were declined, what they
// have open is given up, whether they ask for more or not.
func TestS70_WhatAUserHasOpenIsCalledIn(t *testing.T) {
	for name, test := range map[string]struct {
		failed   account.DepositCount
		paid     int
		calledIn bool
	}{
		"few":                          {account.DepositCount{OfUser: 9, OfCard: 9}, 0, false},
		"ten of the user":              {account.DepositCount{OfUser: 10}, 0, true},
		"ten, and as many were paid":   {account.DepositCount{OfUser: 10}, 10, false},
		"ten with a card of theirs":    {account.DepositCount{OfUser: 1, OfCard: 10}, 5, true},
		"many from an address of many": {account.DepositCount{OfUser: 1, FromAddress: 300}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, counts := newBench(t), &tallied{}
			b.guardWith(counts)
			asked := b.call(b.open("EUR"), "10.00", "EUR")
			out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: asked})
			require.NoError(t, err)
			counts.failed, counts.completed.OfUser = test.failed, test.paid
			event := account.PaymentReceivedEvent{Provider: "mock", EventID: "evt_1", Kind: account.ReceivedAttemptFailed, TransactionID: out.Transaction.ID,
				Amount: 1000, Currency: "EUR", Card: "fp_1", Cause: account.CauseWebhook, OccurredAt: b.now}
			require.NoError(t, accountsvc.NewPaymentEventHandler(b.svc).HandlePaymentReceived(t.Context(), event))
			require.Equal(t, []account.CardFailure{{Provider: "mock", EventID: "evt_1", TransactionID: out.Transaction.ID,
				UserID: asked.UserID, Card: "fp_1", At: b.now}}, counts.cards)
			if !test.calledIn {
				require.Empty(t, counts.calledIn)
				return
			}
			require.Equal(t, []uuid.UUID{asked.UserID}, counts.calledIn)
			_, err = b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: asked})
			require.Equal(t, "too_many_failed_deposits", errs.CodeOf(err))
			require.Equal(t, []uuid.UUID{asked.UserID, asked.UserID}, counts.calledIn, "what was missed before is called in with the refusal")
			asked.DryRun = true
			_, err = b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: asked})
			require.Error(t, err)
			require.Len(t, counts.calledIn, 2, "a dry run changes nothing")
		})
	}
}

// TestS70_OpenDepositsAndAccountsAreBounded: a user has a number of each open at once, and more only when some have ended.
func TestS70_OpenDepositsAndAccountsAreBounded(t *testing.T) {
	b := newBench(t)
	b.svc = accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger: b.store, Books: b.store, EventBus: b.bus,
		Providers: accountsvc.Providers{Default: "mock", ByName: map[string]account.PaymentProvider{"mock": b.bank}},
		Rates:     fixed.New(), Clock: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
		Limits: accountsvc.Limits{OpenDeposits: 2, Accounts: 2},
	})
	t.Cleanup(func() { require.NoError(t, b.svc.Close(context.Background())) })
	first := b.open("EUR")
	asked := b.call(first, "10.00", "EUR")
	deposit := func(account uuid.UUID) (*account.Transaction, error) {
		asked.AccountID = account
		out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: asked})
		return out.Transaction, err
	}
	_, err := deposit(first)
	require.NoError(t, err)
	opened, err := b.svc.OpenAccount(t.Context(), accountsvc.OpenAccountRequest{UserID: asked.UserID, Currency: "EUR"})
	require.NoError(t, err)
	open, err := deposit(opened.Account.ID)
	require.NoError(t, err)
	_, err = deposit(first)
	var limited *errs.Error
	require.ErrorAs(t, err, &limited)
	require.Equal(t, errs.Limited, limited.Kind)
	require.Equal(t, "too_many_open_deposits", limited.Code)
	require.Positive(t, limited.RetryAfter)
	b.confirm(open)
	_, err = deposit(first)
	require.NoError(t, err)

	_, err = b.svc.OpenAccount(t.Context(), accountsvc.OpenAccountRequest{UserID: asked.UserID, Currency: "USD"})
	require.Equal(t, "too_many_accounts", errs.CodeOf(err))
	_, err = b.svc.OpenAccount(t.Context(), accountsvc.OpenAccountRequest{UserID: uuid.New(), Currency: "USD"})
	require.NoError(t, err, "another user has a number of their own")
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
