package database_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func ids(transactions []*account.Transaction) []uuid.UUID {
	list := make([]uuid.UUID, len(transactions))
	for i, t := range transactions {
		list[i] = t.ID
	}
	return list
}

func TestBooksShowAccountsToTheirOwner(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, k := t.Context(), newBookkeeper(t, db)
		user, first := k.funded(100)
		second := k.account(user, currency.USD)
		third := k.account(user, currency.EUR)
		stranger, _ := k.funded(5)

		_, err := k.books.FindAccount(ctx, stranger, first)
		require.Equal(t, errs.NotFound, errs.KindOf(err))
		_, err = k.books.FindAccount(ctx, uuid.Nil, first)
		require.Equal(t, errs.NotFound, errs.KindOf(err))

		page, err := k.books.FindAccounts(ctx, user, account.Page{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{third, second}, []uuid.UUID{page[0].ID, page[1].ID})
		rest, err := k.books.FindAccounts(ctx, user, account.Page{Limit: 2, Before: second})
		require.NoError(t, err)
		require.Len(t, rest, 1)
		require.Equal(t, first, rest[0].ID)

		k.deposit(user, third, eur(11), nil)
		k.withdraw(user, first, eur(30))
		totals, err := k.books.SumAccounts(ctx, user)
		require.NoError(t, err)
		require.Equal(t, []account.Total{
			{Currency: currency.EUR, Posted: eur(111), Held: eur(30)},
			{Currency: currency.USD, Posted: money.Zero(currency.USD), Held: money.Zero(currency.USD)},
		}, totals)
		none, err := k.books.SumAccounts(ctx, newID(t))
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

func TestBooksKnowPastBalances(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, k := t.Context(), newBookkeeper(t, db)
		user, id := k.funded(100)
		k.now = noon.Add(time.Hour)
		k.deposit(user, id, eur(20), nil)
		k.deposit(user, id, eur(3), nil) // two at the same time: the later one counts
		k.now = noon.Add(-time.Hour)     // a clock that was set back does not turn the books around
		k.deposit(user, id, eur(7), nil)
		a := k.read(user, id)
		for _, c := range []struct {
			at     time.Duration
			posted int64
		}{{-time.Nanosecond - time.Microsecond, 0}, {0, 100}, {time.Hour - time.Microsecond, 100}, {time.Hour, 130}, {48 * time.Hour, 130}} {
			posted, err := k.books.PostedAt(ctx, a, noon.Add(c.at))
			require.NoError(t, err)
			require.Equal(t, eur(c.posted), posted, c.at)
		}
		seqs := func(filter account.EntryFilter) (list []int64) {
			filter.Limit = max(filter.Limit, 1)
			lines, err := k.books.FindEntries(ctx, id, filter)
			require.NoError(t, err)
			for _, line := range lines {
				require.Equal(t, account.TypeDeposit, line.TransactionType)
				list = append(list, line.AccountSeq)
			}
			return list
		}
		require.Equal(t, []int64{4, 3}, seqs(account.EntryFilter{Limit: 2}))
		require.Equal(t, []int64{2, 1}, seqs(account.EntryFilter{Limit: 5, BeforeSeq: 3}))
		require.Equal(t, []int64{4, 3, 2}, seqs(account.EntryFilter{Limit: 5, From: noon.Add(time.Minute)}))
		require.Equal(t, []int64{1}, seqs(account.EntryFilter{Limit: 5, To: noon.Add(time.Hour)}))
		require.Empty(t, seqs(account.EntryFilter{Limit: 5, To: noon}))
		require.Equal(t, []int64{1}, seqs(account.EntryFilter{Limit: 5, From: noon, To: noon.Add(time.Second)}))
		lines, err := k.books.FindEntries(ctx, id, account.EntryFilter{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, eur(7), lines[0].Amount)
		require.Equal(t, eur(130), lines[0].BalanceAfter)
		require.Equal(t, noon.Add(time.Hour), lines[0].PostedAt)
	})
}

func TestBooksShowATransferToBothOwners(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, k := t.Context(), newBookkeeper(t, db)
		sender, from := k.funded(100)
		receiver, to := k.funded(5)
		stranger := k.user()
		made := k.newTransfer(sender, from, to, eur(40))
		needs, fn := k.transfer(made)
		require.NoError(t, k.ledger.Do(ctx, needs, fn))

		for user, wanted := range map[uuid.UUID]uuid.UUID{sender: from, receiver: to} {
			got, side, err := k.books.FindTransaction(ctx, user, made.ID)
			require.NoError(t, err)
			require.Equal(t, made.ID, got.ID)
			require.Equal(t, wanted, side)
			list, err := k.books.FindTransactions(ctx, wanted, account.TransactionFilter{Type: account.TypeTransfer}, account.Page{Limit: 10})
			require.NoError(t, err)
			require.Equal(t, []uuid.UUID{made.ID}, ids(list))
		}
		for _, user := range []uuid.UUID{stranger, uuid.Nil} {
			_, _, err := k.books.FindTransaction(ctx, user, made.ID)
			require.Equal(t, errs.NotFound, errs.KindOf(err))
		}
		own := k.account(sender, currency.EUR)
		made = k.newTransfer(sender, from, own, eur(1))
		needs, fn = k.transfer(made)
		require.NoError(t, k.ledger.Do(ctx, needs, fn))
		_, side, err := k.books.FindTransaction(ctx, sender, made.ID)
		require.NoError(t, err)
		require.Equal(t, from, side, "the sender's side where both are the user's")
	})
}

func TestBooksListTransactions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, k := t.Context(), newBookkeeper(t, db)
		user, id := k.funded(1_000)
		other, otherID := k.funded(1_000)
		var all []uuid.UUID // newest first
		for i := range 6 {
			k.now = noon.Add(time.Duration(i+1) * time.Minute)
			made := k.newTransfer(user, id, otherID, eur(1))
			if i%2 == 1 {
				made = k.newTransfer(other, otherID, id, eur(2))
			}
			needs, fn := k.transfer(made)
			require.NoError(t, k.ledger.Do(ctx, needs, fn))
			all = slices.Insert(all, 0, made.ID)
		}
		open := k.withdraw(user, id, eur(9))
		list := func(filter account.TransactionFilter, page account.Page) []uuid.UUID {
			found, err := k.books.FindTransactions(ctx, id, filter, page)
			require.NoError(t, err)
			return ids(found)
		}
		transfers := account.TransactionFilter{Type: account.TypeTransfer}
		require.Equal(t, all[:4], list(transfers, account.Page{Limit: 4}))
		require.Equal(t, all[4:], list(transfers, account.Page{Limit: 4, Before: all[3]}))
		require.Equal(t, []uuid.UUID{open}, list(account.TransactionFilter{Status: account.PaymentStatusInitiated}, account.Page{Limit: 4}))
		require.Equal(t, all[2:4], list(account.TransactionFilter{Type: account.TypeTransfer, From: noon.Add(3 * time.Minute), To: noon.Add(5 * time.Minute)}, account.Page{Limit: 9}))
		yes, err := k.books.HasOpenTransactions(ctx, id)
		require.NoError(t, err)
		require.True(t, yes)
		no, err := k.books.HasOpenTransactions(ctx, otherID)
		require.NoError(t, err)
		require.False(t, no)
	})
}

func TestBooksFindByPaymentAndTellTheTimeline(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, k := t.Context(), newBookkeeper(t, db)
		user := k.user()
		id := k.account(user, currency.EUR)
		deposit := k.deposit(user, id, eur(100), nil)
		k.do(account.Needs{}, func(u account.UnitOfWork) error {
			u.AddProviderCall(account.ProviderCall{ID: newID(t), TransactionID: deposit, Attempt: 1, Operation: "initiate_deposit", Outcome: "accepted",
				StartedAt: noon.Add(-time.Millisecond), EndedAt: noon.Add(time.Millisecond)})
			return nil
		})
		got, err := k.books.FindTransactionByPayment(ctx, "mock", "pay_"+deposit.String())
		require.NoError(t, err)
		require.Equal(t, deposit, got.ID)
		_, err = k.books.FindTransactionByPayment(ctx, "stripe", "pay_"+deposit.String())
		require.Equal(t, errs.NotFound, errs.KindOf(err))
		status, err := k.books.TransactionStatus(ctx, deposit)
		require.NoError(t, err)
		require.Equal(t, account.PaymentStatusCompleted, status)
		_, err = k.books.TransactionStatus(ctx, newID(t))
		require.Equal(t, errs.NotFound, errs.KindOf(err))

		items, err := k.books.FindTimeline(ctx, deposit)
		require.NoError(t, err)
		var kinds []string
		for _, item := range items {
			kinds = append(kinds, item.Kind)
			require.NotContains(t, fmt.Sprint(item), "ä", "the provider's body is not shown")
		}
		require.Equal(t, []string{"provider_call", "api_call", "webhook", "state_change", "state_change", "entry", "entry"}, kinds)
		require.Equal(t, "2", items[0].Detail["duration_ms"])
		require.Equal(t, "-1.00 EUR on provider_clearing:mock", items[5].Summary)
		_, err = k.books.FindTimeline(ctx, newID(t))
		require.Equal(t, errs.NotFound, errs.KindOf(err))
	})
}

func TestDueClaimsEachRowOnce(t *testing.T) {
	t.Parallel()
	const rows = 40
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, id := k.funded(1_000)
		for range rows {
			k.withdraw(user, id, eur(1))
		}
		for range rows {
			event := account.PaymentReceivedEvent{Provider: "mock", EventID: newID(t).String(), Kind: account.ReceivedPending, Type: "t", Cause: account.CauseWebhook}
			row := account.InboxRecord{ID: newID(t), Event: event, Status: account.InboxReceived, Reason: "x", NextAttemptAt: noon, ReceivedAt: noon}
			k.do(account.Needs{}, func(u account.UnitOfWork) error { u.AddInbox(row); return nil })
		}
		due := database.NewDue(db)
		later := noon.Add(time.Hour)
		var mu sync.Mutex
		transactions, events := map[uuid.UUID]int{}, map[uuid.UUID]int{}
		var claimers sync.WaitGroup
		for range 2 {
			claimers.Go(func() {
				for {
					ts, err := due.ClaimTransactions(context.Background(), noon.Add(time.Minute), 7, func(tries int) time.Time { return later.Add(time.Duration(tries) * time.Hour) })
					es, errEvents := due.ClaimInbox(context.Background(), noon, 7, func(tries int) time.Time { return later })
					if err != nil || errEvents != nil {
						t.Error(err, errEvents)
						return
					}
					mu.Lock()
					for _, claimed := range ts {
						transactions[claimed.ID]++
						if claimed.Fence != 1 || claimed.Tries != 1 || !claimed.NextAttemptAt.Equal(later) {
							t.Errorf("claimed with fence %d, try %d, until %s", claimed.Fence, claimed.Tries, claimed.NextAttemptAt)
						}
					}
					for _, claimed := range es {
						events[claimed.ID]++
					}
					finished := len(transactions) == rows && len(events) == rows
					mu.Unlock()
					if finished || (len(ts) == 0 && len(es) == 0) {
						return
					}
				}
			})
		}
		claimers.Wait()
		require.Len(t, transactions, rows)
		require.Len(t, events, rows)
		for id, times := range transactions {
			require.Equal(t, 1, times, id)
		}
		for id, times := range events {
			require.Equal(t, 1, times, id)
		}
		again, err := due.ClaimTransactions(t.Context(), later, 1, func(tries int) time.Time { return later.Add(time.Duration(tries) * time.Hour) })
		require.NoError(t, err)
		require.Len(t, again, 1)
		require.Equal(t, later.Add(time.Hour), again[0].NextAttemptAt, "until is told the tries made so far")

		stored := func() (at time.Time) {
			got, _, err := k.books.FindTransaction(t.Context(), user, again[0].ID)
			require.NoError(t, err)
			return got.NextAttemptAt
		}
		k.payOut(id, again[0].ID)
		require.Zero(t, stored(), "a terminal transaction is never due")
	})
}
