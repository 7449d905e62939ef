package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func TestOriginsAreForgotten(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		origins := database.NewDepositFailures(db)
		for _, at := range []time.Time{noon.Add(-time.Hour), noon} {
			made := k.transaction(account.TypeDeposit, user, from, eur(1))
			k.do(account.Needs{}, func(u account.UnitOfWork) error {
				u.AddTransaction(made)
				return move(u, made, k.now, account.CauseRequest, account.PaymentStatusInitiated)
			})
			require.NoError(t, origins.NoteOrigin(t.Context(), made.ID, "192.0.2.1", at))
			require.NoError(t, origins.NoteCard(t.Context(), account.CardFailure{Provider: "stripe", EventID: made.ID.String(),
				TransactionID: made.ID, UserID: user, Card: "fp", At: at}))
		}
		removed, err := origins.PurgeOrigins(t.Context(), noon)
		require.NoError(t, err)
		require.Equal(t, 2, removed)
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM card_failures"))
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM deposit_origins"))
	})
}

// TestS70_NotOneMoreThanTheBound: 64 at once, on two servers, and exactly as many get through as there may be.
func TestS70_NotOneMoreThanTheBound(t *testing.T) {
	t.Parallel()
	const bound, racers = 7, 64
	errFull := errors.New("full")
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		stranger, theirs := k.funded(100)
		servers := []*database.Ledger{database.NewLedger(db), database.NewLedger(db)}
		race := func(begin func(server *database.Ledger) error) int64 {
			var through atomic.Int64
			var all sync.WaitGroup
			for i := range racers {
				all.Go(func() {
					switch err := begin(servers[i%2]); {
					case err == nil:
						through.Add(1)
					case !errors.Is(err, errFull):
						t.Errorf("racer %d: %v", i, err)
					}
				})
			}
			all.Wait()
			return through.Load()
		}
		deposit := func(server *database.Ledger, owner, on uuid.UUID) error {
			made := k.transaction(account.TypeDeposit, owner, on, eur(1))
			return server.Do(t.Context(), account.Needs{Accounts: []uuid.UUID{on}, DepositsOf: owner}, func(_ context.Context, u account.UnitOfWork) error {
				if u.OpenDeposits() >= bound {
					return errFull
				}
				mine := made.Clone()
				u.AddTransaction(mine)
				return move(u, mine, k.now, account.CauseRequest, account.PaymentStatusInitiated)
			})
		}
		require.EqualValues(t, bound, race(func(server *database.Ledger) error { return deposit(server, user, from) }))
		require.NoError(t, deposit(servers[0], stranger, theirs), "another user has a bound of their own")
		require.Equal(t, bound, count(t, db, "SELECT COUNT(*) FROM transactions WHERE user_id = '"+user.String()+"' AND next_attempt_at IS NOT NULL"))
		require.EqualValues(t, bound-1, race(func(server *database.Ledger) error {
			a, err := account.New(newID(t), user, "another", currency.EUR, k.now)
			if err != nil {
				return err
			}
			return server.Do(t.Context(), account.Needs{Accounts: []uuid.UUID{a.ID}, AccountsOf: user}, func(_ context.Context, u account.UnitOfWork) error {
				if u.OpenAccounts() >= bound {
					return errFull
				}
				u.AddAccount(a)
				return nil
			})
		}), "one was there before")
	})
}

// TestS70_DeclinesAreCountedOfTheUserAndOfTheCard: over all accounts of the user, and of a card over all users.
func TestS70_DeclinesAreCountedOfTheUserAndOfTheCard(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		failures := database.NewDepositFailures(db)
		user, first := k.funded(100)
		second := k.account(user, currency.USD)
		other, theirs := k.funded(100)
		open := func(owner, on uuid.UUID) *account.Transaction {
			made := k.transaction(account.TypeDeposit, owner, on, eur(1))
			made.PaymentID = "pi_" + made.ID.String()
			k.do(account.Needs{Accounts: []uuid.UUID{on}}, func(u account.UnitOfWork) error {
				mine := made.Clone()
				u.AddTransaction(mine)
				return move(u, mine, k.now, account.CauseRequest, account.PaymentStatusInitiated, account.PaymentStatusPending)
			})
			return made
		}
		attempts := 0
		decline := func(of *account.Transaction, card string) {
			attempts++
			event := account.PaymentReceivedEvent{Provider: "mock", EventID: fmt.Sprintf("evt_%d", attempts), Kind: account.ReceivedAttemptFailed,
				TransactionID: of.ID, PaymentID: of.PaymentID, Amount: 1, Currency: "EUR", Card: card, Cause: account.CauseWebhook, OccurredAt: k.now}
			k.do(account.Needs{}, func(u account.UnitOfWork) error {
				u.AddInbox(account.InboxRecord{ID: newID(t), Event: event, Status: account.InboxIgnored, ReceivedAt: k.now, ProcessedAt: k.now})
				return nil
			})
			for range 2 { // an event may come again
				require.NoError(t, failures.NoteCard(t.Context(), account.CardFailure{Provider: "mock", EventID: event.EventID, TransactionID: of.ID,
					UserID: of.UserID, Card: card, At: k.now}))
			}
		}
		a, b, c := open(user, first), open(user, second), open(other, theirs)
		decline(a, "fp_a")
		decline(a, "fp_b")
		decline(b, "fp_b")
		decline(c, "fp_b")
		decline(c, "fp_c")
		since := k.now.Add(-time.Hour)
		got, err := failures.CountFailed(t.Context(), user, "192.0.2.1", since)
		require.NoError(t, err)
		require.Equal(t, account.DepositCount{OfUser: 3, OfCard: 3}, got)
		got, err = failures.CountFailed(t.Context(), user, "192.0.2.1", k.now)
		require.NoError(t, err)
		require.Zero(t, got, "what is out of the window")
		got, err = failures.CountCompleted(t.Context(), user, "192.0.2.1", since)
		require.NoError(t, err)
		require.Equal(t, account.DepositCount{OfUser: 1}, got)

		for id, failure := range map[uuid.UUID]string{a.ID: "canceled", b.ID: "card_declined"} {
			k.do(account.Needs{Transactions: []uuid.UUID{id}}, func(u account.UnitOfWork) error {
				row, _ := u.Transaction(id)
				event, err := row.Move(account.PaymentStatusFailed, k.now, account.CauseWebhook, &account.Failure{Code: failure, Message: "x"})
				u.AddEvent(event)
				return err
			})
		}
		got, err = failures.CountFailed(t.Context(), user, "192.0.2.1", since)
		require.NoError(t, err)
		require.Equal(t, 4, got.OfUser, "what was given up is no decline")

		at := k.now.Add(time.Second)
		called, err := failures.CallIn(t.Context(), "another", other, at)
		require.NoError(t, err)
		require.Zero(t, called)
		for _, want := range []int{1, 0} {
			called, err = failures.CallIn(t.Context(), "mock", other, at)
			require.NoError(t, err)
			require.Equal(t, want, called)
		}
		due, err := database.NewDue(db).ClaimTransactions(t.Context(), at, 10, func(int) time.Time { return at.Add(time.Minute) })
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Equal(t, c.ID, due[0].ID)
		require.False(t, at.Before(due[0].ExpiresAt), "it is over its time")
	})
}
