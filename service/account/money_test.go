package account_test

import (
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	accountsvc "florin/service/account"
)

// verdict is what became of the event.
func (b *bench) verdict(e account.PaymentReceivedEvent) (account.InboxStatus, string) {
	row := b.store.inbox[account.InboxKey{Provider: e.Provider, EventID: e.EventID}]
	return row.Status, row.Reason
}

// kinds are the kinds of the reviews, in their order.
func (b *bench) kinds() []string {
	kinds := []string{}
	for _, r := range b.store.reviews {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// TestF133_NothingIsLeftToDoOnAPaymentThatHasEnded: however it ends, and also where the answer of the provider comes after the end.
func TestF133_NothingIsLeftToDoOnAPaymentThatHasEnded(t *testing.T) {
	action := &account.NextAction{Type: "client_secret", ClientSecret: "pi_1_secret_2"}
	for name, kind := range map[string]account.ReceivedKind{"completed": account.ReceivedCompleted, "failed": account.ReceivedFailed} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.open("EUR")
			asks := func(id string) account.Initiation {
				return account.Initiation{PaymentID: "pay_" + id, NextAction: action, Report: account.PaymentReport{Kind: account.ReceivedPending}}
			}
			b.bank.initiate = func(id uuid.UUID, _ string) (account.Initiation, error) { return asks(id.String()), nil }
			out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
			require.NoError(t, err)
			require.Equal(t, action, b.store.transaction(out.Transaction.ID).NextAction)
			b.hear(b.webhook(kind, out.Transaction, 500, "EUR"))
			require.True(t, b.store.transaction(out.Transaction.ID).Status().Terminal())
			require.Nil(t, b.store.transaction(out.Transaction.ID).NextAction)

			b.bank.initiate = func(id uuid.UUID, _ string) (account.Initiation, error) {
				early := b.webhook(kind, &account.Transaction{ID: id}, 700, "EUR")
				require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), early))
				return asks(id.String()), nil
			}
			out, err = b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "7", "EUR")})
			require.NoError(t, err)
			late := b.store.transaction(out.Transaction.ID)
			require.True(t, late.Status().Terminal())
			require.Nil(t, late.NextAction)
			require.Nil(t, out.Transaction.NextAction)
		})
	}
}

// TestF151_WhatIsWrittenAroundAFactIsNoConflict: the same event id with other bytes is a duplicate where it states the same.
func TestF151_WhatIsWrittenAroundAFactIsNoConflict(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "100.00", "EUR")
	e := b.part(account.ReceivedRefunded, d, "re_1", 3000)
	b.hear(e)
	e.Raw = []byte(`{"pending_webhooks":0}`)
	b.hear(e)
	require.Len(t, b.store.inbox, 2)
	require.Empty(t, b.store.reviews)
	assert.Equal(t, "70.00", b.store.account(id).Posted().Decimal())

	e.Amount, e.Raw = 4000, []byte(`{"pending_webhooks":0,"amount":4000}`)
	b.hear(e)
	require.Len(t, b.store.inbox, 3, "another amount is put aside")
	assert.Equal(t, "70.00", b.store.account(id).Posted().Decimal())
}

// TestF151_AnEventThatNamesItsRefundIsKnownAgain: what it is about was found by another way than it says.
func TestF151_AnEventThatNamesItsRefundIsKnownAgain(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "100.00", "EUR")
	out, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID, Call: accountsvc.Call{UserID: b.user, Amount: "10.00"}})
	require.NoError(t, err)
	e := b.part(account.ReceivedRefunded, d, "re_1", 1000)
	e.TransactionID = out.Transaction.ID
	b.hear(e)
	e.Raw = []byte(`{"pending_webhooks":0}`)
	b.hear(e)
	require.Len(t, b.store.inbox, 2)
	assert.Equal(t, "90.00", b.store.account(id).Posted().Decimal())
}

// TestF160_RefundsInPiecesEndAtExactlyNothing: a deposit of yen on an account of euros is given back by its owner in any pieces, of
// which some are on their way at once and some fail. No piece is refused for being small, the account is never charged more than it
// was credited, and in the end nothing is left.
func TestF160_RefundsInPiecesEndAtExactlyNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		id := b.open("EUR")
		whole := rapid.Int64Range(2, 60).Draw(rt, "whole")
		d := b.paid(id, strconv.FormatInt(whole, 10), "JPY")
		credited := b.store.account(id).Posted().Minor()
		left := whole
		var open []*account.Transaction
		refund := func(n int64) {
			out, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID,
				Call: accountsvc.Call{UserID: b.user, Amount: strconv.FormatInt(n, 10)}})
			require.NoError(rt, err, "%d of %d", n, left)
			left -= n
			open = append(open, out.Transaction)
		}
		end := func(done bool) {
			r := open[0]
			open = open[1:]
			kind := account.ReceivedRefunded
			if !done {
				kind = account.ReceivedRefundFailed
				left += r.Amount.Minor()
			}
			e := b.part(kind, d, "pay_"+r.ID.String(), r.Amount.Minor())
			e.FollowID = r.ID
			b.hear(e)
		}
		for range rapid.IntRange(0, 20).Draw(rt, "steps") {
			switch {
			case left > 0 && (len(open) == 0 || rapid.Bool().Draw(rt, "more")):
				refund(rapid.Int64Range(1, min(left, 3)).Draw(rt, "piece"))
			case len(open) > 0:
				end(rapid.Bool().Draw(rt, "done"))
			}
			a := b.store.account(id)
			require.False(rt, a.Owed().IsPositive())
			require.LessOrEqual(rt, a.Posted().Minor(), credited)
		}
		for len(open) > 0 {
			end(true)
		}
		for left > 0 {
			refund(1)
			end(true)
		}
		a := b.store.account(id)
		require.Equal(rt, model{}, model{a.Posted().Minor(), a.Held().Minor(), a.Owed().Minor()})
		_, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID, Call: accountsvc.Call{UserID: b.user, Amount: "1"}})
		require.Error(rt, err)
	})
}
