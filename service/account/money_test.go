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

// TestF133_NothingIsLeftToDoOnAPaymentThatHasEnded: however it ends, and also where the answer of
// the provider comes after the end.
func TestF133_NothingIsLeftToDoOnAPaymentThatHasEnded(t *testing.T) {
	action := &account.NextAction{Type: "client_secret", ClientSecret: "pi_1_secret_2"}
	for name, kind := range map[string]account.ReceivedKind{"completed": account.ReceivedCompleted,
		"failed": account.ReceivedFailed} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.open("EUR")
			asks := func(id string) account.Initiation {
				return account.Initiation{PaymentID: "pay_" + id, NextAction: action,
					Report: account.PaymentReport{Kind: account.ReceivedPending}}
			}
			b.bank.initiate = func(id uuid.UUID, _ string) (account.Initiation,
				error) {
				return asks(id.String()), nil
			}
			out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5",
				"EUR")})
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
			out, err = b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "7",
				"EUR")})
			require.NoError(t, err)
			late := b.store.transaction(out.Transaction.ID)
			require.True(t, late.Status().Terminal())
			require.Nil(t, late.NextAction)
			require.Nil(t, out.Transaction.NextAction)
		})
	}
}

// TestF151_WhatIsWrittenAroundAFactIsNoConflict: the same event id with other bytes is a duplicate
// where it states the same.
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

// TestF151_AnEventThatNamesItsRefundIsKnownAgain: what it is about was found by another way than it
// says.
func TestF151_AnEventThatNamesItsRefundIsKnownAgain(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "100.00", "EUR")
	out, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID,
		Call: accountsvc.Call{UserID: b.user, Amount: "10.00"}})
	require.NoError(t, err)
	e := b.part(account.ReceivedRefunded, d, "re_1", 1000)
	e.TransactionID = out.Transaction.ID
	b.hear(e)
	e.Raw = []byte(`{"pending_webhooks":0}`)
	b.hear(e)
	require.Len(t, b.store.inbox, 2)
	assert.Equal(t, "90.00", b.store.account(id).Posted().Decimal())
}

// TestF160_RefundsInPiecesEndAtExactlyNothing: a deposit of yen on an account of euros is given
// back by its owner in any pieces, of which some are on their way at once and some fail. No piece
// is refused for being small, the account is never charged more than it was credited, and in the
// end nothing is left.
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
			out, err := b.svc.RefundTransaction(t.Context(),
				accountsvc.RefundRequest{DepositID: d.ID,
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
		_, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID,
			Call: accountsvc.Call{UserID: b.user, Amount: "1"}})
		require.Error(rt, err)
	})
}

// sides is an account's money in minor units: posted, owed.
func (b *bench) sides(id uuid.UUID) [2]int64 {
	a := b.store.account(id)
	return [2]int64{a.Posted().Minor(), a.Owed().Minor()}
}

// suspended is what the postings have left in suspense, in minor units.
func (b *bench) suspended() int64 {
	var sum int64
	for _, p := range b.store.postings {
		for _, e := range p.Entries() {
			if e.System != nil && e.System.Code == "suspense" {
				sum += e.Amount.Minor()
			}
		}
	}
	return sum
}

// TestF147_WhatIsTakenBeyondAPaymentIsOwed: refunded outside and disputed whole, more than was
// paid, and all of an overpaid deposit.
func TestF147_WhatIsTakenBeyondAPaymentIsOwed(t *testing.T) {
	t.Run("refunded outside, then disputed whole and won", func(t *testing.T) {
		b := newBench(t)
		id := b.open("EUR")
		d := b.paid(id, "100.00", "EUR")
		b.fund(id, "50.00", "EUR")
		b.hearTwice(b.part(account.ReceivedRefunded, d, "re_1", 3000))
		b.hearTwice(b.part(account.ReceivedDisputed, d, "dp_1", 10000))
		require.Equal(t, [2]int64{5000, 3000}, b.sides(id),
			"what was left of the payment is taken, the rest is owed")
		require.ElementsMatch(t, []string{"dispute", "receivable"}, b.kinds())
		b.hearTwice(b.part(account.ReceivedDisputeWon, d, "dp_1", 10000))
		require.Equal(t, [2]int64{12000, 0}, b.sides(id))
		b.hearTwice(b.part(account.ReceivedRefundFailed, d, "re_1", 3000))
		require.Equal(t, [2]int64{15000, 0}, b.sides(id))
	})
	t.Run("more than was paid, spent", func(t *testing.T) {
		b := newBench(t)
		id, other := b.open("EUR"), b.open("EUR")
		d := b.paid(id, "100.00", "EUR")
		_, err := b.svc.Transfer(t.Context(), accountsvc.TransferRequest{Call: b.call(id, "90.00",
			"EUR"), DestinationID: other})
		require.NoError(t, err)
		b.hearTwice(b.part(account.ReceivedRefunded, d, "re_1", 10200))
		require.Equal(t, [2]int64{0, 9200}, b.sides(id))
		b.hearTwice(b.part(account.ReceivedRefundFailed, d, "re_1", 10200))
		require.Equal(t, [2]int64{1000, 0}, b.sides(id))
	})
	t.Run("all of an overpaid deposit", func(t *testing.T) {
		b := newBench(t)
		id := b.open("EUR")
		out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "10.00",
			"EUR")})
		require.NoError(t, err)
		d := out.Transaction
		b.hear(b.webhook(account.ReceivedCompleted, d, 1200, "EUR"))
		require.Equal(t, int64(200), b.suspended())
		b.hearTwice(b.part(account.ReceivedRefunded, d, "re_1", 1200))
		require.Equal(t, [2]int64{0, 0}, b.sides(id))
		require.Zero(t, b.suspended())
		b.hearTwice(b.part(account.ReceivedRefundFailed, d, "re_1", 1200))
		require.Equal(t, [2]int64{1000, 0}, b.sides(id))
		require.Equal(t, int64(200), b.suspended())
		b.hearTwice(b.part(account.ReceivedDisputed, d, "dp_1", 1300))
		require.Equal(t, [2]int64{0, 100}, b.sides(id))
		require.Zero(t, b.suspended())
	})
	t.Run("a refund of ours on its way", func(t *testing.T) {
		b := newBench(t)
		id := b.open("EUR")
		d := b.paid(id, "100.00", "EUR")
		b.fund(id, "60.00", "EUR")
		out, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID,
			Call: accountsvc.Call{UserID: b.user, Amount: "50.00"}})
		require.NoError(t, err)
		b.hear(b.part(account.ReceivedDisputed, d, "dp_1", 10000))
		e := b.part(account.ReceivedRefunded, d, "pay_"+out.Transaction.ID.String(), 5000)
		e.FollowID = out.Transaction.ID
		b.hearTwice(e)
		require.Equal(t, [2]int64{1000, 0}, b.sides(id), "the account has paid for both")
		require.Equal(t, account.SourceBalance, b.store.transaction(out.Transaction.ID).MoneySource)
	})
}

// TestF148_WhatCameBackIsTakenAgain: each turn of a dispute once, however often and in whichever
// order it is told.
func TestF148_WhatCameBackIsTakenAgain(t *testing.T) {
	turns := func(b *bench, d *account.Transaction) []account.PaymentReceivedEvent {
		events := []account.PaymentReceivedEvent{b.part(account.ReceivedDisputed, d,
			"dp_"+d.ID.String(), 6000),
			b.part(account.ReceivedDisputeWon, d, "dp_"+d.ID.String(), 6000),
			b.part(account.ReceivedDisputed, d, "dp_"+d.ID.String(), 6000),
			b.part(account.ReceivedDisputeWon, d, "dp_"+d.ID.String(), 6000),
			b.part(account.ReceivedDisputed, d, "dp_"+d.ID.String(), 6000)}
		for i := range events {
			events[i].Turn = i/2 + 1
		}
		return events
	}
	permutations(5, func(order []int) {
		b := newBench(t)
		id := b.open("EUR")
		d := b.paid(id, "100.00", "EUR")
		events := turns(b, d)
		for _, i := range order {
			b.hearTwice(events[i])
		}
		b.workOff()
		require.Equal(t, [2]int64{4000, 0}, b.sides(id), "order %v", order)
		require.Equal(t, map[account.Type]int{account.TypeChargeback: 3,
			account.TypeChargebackReversal: 2}, b.followers(d.ID), "order %v", order)
	})
}

func TestF148_LostAfterWonIsTakenWhereItIsProvedAndReviewedOtherwise(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "100.00", "EUR")
	b.hear(b.part(account.ReceivedDisputed, d, "dp_1", 6000))
	b.hear(b.part(account.ReceivedDisputeWon, d, "dp_1", 6000))
	b.hearTwice(b.part(account.ReceivedDisputeLost, d, "dp_1", 6000))
	require.Equal(t, [2]int64{10000, 0}, b.sides(id), "it may be old news")
	require.Equal(t, []string{"dispute", account.ReviewTakenAgain}, b.kinds())

	stale := b.part(account.ReceivedDisputeLost, d, "dp_2", 1000)
	stale.Turn = 1
	b.hear(b.part(account.ReceivedDisputed, d, "dp_2", 1000))
	b.hear(b.part(account.ReceivedDisputeWon, d, "dp_2", 1000))
	b.hearTwice(stale)
	require.Equal(t, [2]int64{10000, 0}, b.sides(id), "lost before it was won")

	proved := b.part(account.ReceivedDisputeLost, d, "dp_1", 6000)
	proved.Turn = 2
	b.hearTwice(proved)
	require.Equal(t, [2]int64{4000, 0}, b.sides(id))
	disputed := b.part(account.ReceivedDisputed, d, "dp_1", 6000)
	disputed.Turn = 2
	b.hearTwice(disputed)
	require.Equal(t, [2]int64{4000, 0}, b.sides(id), "the same turn told in other words")
}

// TestF148_OtherFactsHappenAgain: a payout that comes back in pieces, and a refund that is told
// anew.
func TestF148_OtherFactsHappenAgain(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "100.00", "EUR")
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "40.00",
		"EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.NoError(t, err)
	b.confirm(out.Transaction)
	for i, minor := range []int64{1000, 2500} {
		e := b.webhook(account.ReceivedPayoutReturned, out.Transaction, minor, "EUR")
		e.Turn = i + 1
		b.hearTwice(e)
	}
	require.Equal(t, [2]int64{9500, 0}, b.sides(id))

	d := b.paid(id, "10.00", "EUR")
	again := b.part(account.ReceivedRefunded, d, "re_1", 1000)
	b.hear(again)
	b.hear(b.part(account.ReceivedRefundFailed, d, "re_1", 1000))
	again.EventID, again.OccurredAt = "evt_stale", b.now.Add(-1)
	b.hear(again)
	require.Empty(t, b.kinds(), "old news")
	again.EventID, again.OccurredAt = "evt_again", b.now.Add(1)
	b.hear(again)
	require.Equal(t, []string{account.ReviewTakenAgain}, b.kinds())
	again.EventID, again.Turn = "evt_proved", 2
	b.hearTwice(again)
	require.Equal(t, [2]int64{9500, 0}, b.sides(id))
}

// TestF153_ARefundThatWasNeverMadeMovesNothing: begun at the provider, pending, and failed. What is
// said of it later is no news.
func TestF153_ARefundThatWasNeverMadeMovesNothing(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "100.00", "EUR")
	failed := b.part(account.ReceivedRefundFailed, d, "re_1", 3000)
	b.hear(failed)
	status, reason := b.verdict(failed)
	require.Equal(t, account.InboxProcessed, status, reason)
	b.hearTwice(failed)
	require.Empty(t, b.followers(d.ID))
	made := b.part(account.ReceivedRefunded, d, "re_1", 3000)
	b.hearTwice(made)
	require.Equal(t, [2]int64{10000, 0}, b.sides(id), "it was made after all, and its end is known")
	require.Equal(t, map[account.Type]int{account.TypeRefund: 1, account.TypeRefundReversal: 1},
		b.followers(d.ID))
	require.Empty(t, b.store.reviews)
}
