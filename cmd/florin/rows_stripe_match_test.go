package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe"
	"florin/service/reconcile"
)

// matched is what the next comparison finds, with the last run of Stripe's.
func (s *stripeRig) matched() (reconcile.State, account.ReconciliationRun) {
	s.t.Helper()
	s.advance(25 * time.Hour)
	s.reconciles()
	found, err := s.app.Reconciler.State(s.t.Context(), account.Page{Limit: 10})
	require.NoError(s.t, err)
	for _, run := range found.Runs {
		if run.Provider == stripe.Name {
			return found, run
		}
	}
	require.Fail(s.t, "Stripe was not compared")
	return reconcile.State{}, account.ReconciliationRun{}
}

// told sends what has happened, and waits until it is worked off.
func (s *stripeRig) told(transaction, status string) {
	s.t.Helper()
	s.deliver()
	s.advance(3 * time.Second)
	s.becomes(transaction, status)
	s.quiet()
}

// TestI21_StripeMatchesItsOwnList: our clearing accounts are what Stripe's balance says, whatever became of a payment; what another
// program or the account's owner does there is no difference, and what we were never told is one.
func TestI21_StripeMatchesItsOwnList(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		refunded, refundedIntent := r.settled(c, euros, "100.00", "EUR")
		_, lost := r.settled(c, euros, "50.00", "EUR")
		_, won := r.settled(c, euros, "40.00", "EUR")
		r.payee(c)
		require.Contains(t, []int{200, 202}, c.do("POST", "/transaction/"+refunded+"/refund", `{"amount":"10.00"}`).status)
		r.stripe.FailRefund(r.stripe.Refund(refundedIntent, 500))
		r.stripe.Refund(refundedIntent, 700)
		r.stripe.CloseDispute(r.stripe.Dispute(lost), false)
		r.stripe.CloseDispute(r.stripe.Dispute(won), true)
		sent := func(amount string) (id, payout string) {
			w := r.payOut(c, euros, amount, "EUR")
			require.Equal(t, 202, w.status, "%s", w.body)
			return w.text(t, "id"), w.text(t, "payment_id")
		}
		paid, payout := sent("20.00")
		r.stripe.PayOut(payout)
		r.told(paid, "completed")
		failed, payout := sent("8.00")
		r.stripe.FailPayout(payout, "could_not_process")
		r.told(failed, "failed")
		returned, payout := sent("7.00")
		r.stripe.PayOut(payout)
		r.told(returned, "completed")
		r.stripe.FailPayout(payout, "account_closed")
		r.told(returned, "completed")
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM transactions WHERE type = 'payout_return'") == 1 }, "it is back")
		onItsWay, payout := sent("6.00")
		r.stripe.SendOut(payout)
		sold := r.stripe.Sell(9900, "eur")
		r.stripe.PayOwner(5000, "eur")

		sound, run := r.matched()
		require.Empty(t, sound.Differences)
		require.Zero(t, run.UnderWay)
		require.EqualValues(t, 12, run.Matched, "three payments with their fees, two refunds, a dispute that is lost, two fees of disputes, a payout")
		require.Equal(t, "pending", r.statusOf(onItsWay))

		// A payment of ours that no event tells of, and one of which Stripe has less than was booked.
		unseen := r.stripe.Get(sold)["latest_charge"].(string)
		r.stripe.Set(unseen, "metadata", map[string]any{"florin_transaction_id": refunded})
		booked := r.stripe.Get(r.stripe.Get(refundedIntent)["latest_charge"].(string))["balance_transaction"].(string)
		r.stripe.Set(booked, "amount", int64(9900))
		broken, _ := r.matched()
		byRef := map[string]account.Difference{}
		for _, d := range broken.Differences {
			byRef[d.Ref] = d
		}
		require.EqualValues(t, 100_00, *byRef[refundedIntent].Ours)
		require.EqualValues(t, 99_00, *byRef[refundedIntent].Theirs)
		require.Nil(t, byRef[sold].Ours)
		require.EqualValues(t, 99_00, *byRef[sold].Theirs)
		require.Len(t, broken.Differences, 3, "the third is the fee of what nobody told")
		require.EqualValues(t, 3, r.alerts("drift"))
		require.EqualValues(t, 3, r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'drift' AND status = 'open'"))

		r.stripe.Set(booked, "amount", int64(10000))
		r.stripe.Set(unseen, "metadata", map[string]any{})
		mended, run := r.matched()
		require.Empty(t, mended.Differences)
		require.EqualValues(t, 3, run.Closed)
	})
}
