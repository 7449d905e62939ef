package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/stripe/stripetest"
)

func TestF30_F77_F78_F79_StripeWithdrawals(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		r.settled(c, euros, "100.00", "EUR")
		requireProblem(t, r.payOut(c, euros, "10.00", "EUR"), 422, "onboarding_required", "")
		status := c.do("GET", "/stripe/account/onboard/status", "")
		require.JSONEq(t, `{"is_complete":false,"payouts_enabled":false}`, string(status.body))
		r.payee(c)
		requireProblem(t, c.withdraw(euros, "10.00", "EUR"), 422, "not_allowed", "external_target")

		// One arrives, and comes back days later.
		w := r.payOut(c, euros, "10.00", "EUR")
		require.Equal(t, 202, w.status, "%s", w.body)
		require.Equal(t, "100.00 10.00 90.00", c.balance(euros))
		payout := w.text(t, "payment_id")
		r.stripe.PayOut(payout)
		r.deliver()
		r.advance(3 * time.Second)
		r.becomes(w.text(t, "id"), "completed")
		require.Equal(t, "90.00 0.00 90.00", c.balance(euros))
		r.stripe.FailPayout(payout, "account_closed")
		r.deliver()
		r.advance(3 * time.Second)
		r.until(func() bool { return c.balance(euros) == "100.00 0.00 100.00" }, "the money is back on the account")
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'payout_return'"))
		require.Len(t, r.stripe.Kind("transfer_reversal"), 1)

		// One fails before it is paid.
		w = r.payOut(c, euros, "20.00", "EUR")
		r.stripe.FailPayout(w.text(t, "payment_id"), "could_not_process")
		r.deliver()
		r.advance(3 * time.Second)
		r.becomes(w.text(t, "id"), "failed")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Len(t, r.stripe.Kind("transfer_reversal"), 2)

		// One has arrived when it is answered; its webhook is a duplicate (F30).
		r.stripe.Inject("/v1/payouts", stripetest.AtOnce)
		w = r.payOut(c, euros, "5.00", "EUR")
		require.Equal(t, 200, w.status, "%s", w.body)
		require.Equal(t, "completed", w.text(t, "status"))
		r.deliver()
		r.quiet()
		require.Equal(t, "95.00 0.00 95.00", c.balance(euros))
	})
}

// TestF76_F77_F83_StripePayoutCalls: whatever becomes of the two calls of a payout, the hold is kept until it is known.
func TestF76_F77_F83_StripePayoutCalls(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		r.settled(c, euros, "100.00", "EUR")
		r.payee(c)
		payee := r.stripe.Kind("account")[0]

		for _, path := range []string{"/v1/transfers", "/v1/payouts"} { // F76
			r.stripe.Inject(path, stripetest.LoseReply)
			w := r.payOut(c, euros, "10.00", "EUR")
			require.Equal(t, 202, w.status, "%s", w.body)
			require.Equal(t, "initiated", w.text(t, "status"))
			id := w.text(t, "id")
			require.Contains(t, c.balance(euros), " 10.00 ", "the hold is kept")
			r.advance(11 * time.Second)
			r.becomes(id, "pending")
			require.Len(t, r.stripe.Find("transfer", "florin_transaction_id", id), 1)
			payouts := r.stripe.Find("payout", "florin_transaction_id", id)
			require.Len(t, payouts, 1)
			r.stripe.PayOut(payouts[0])
			r.deliver()
			r.becomes(id, "completed")
		}
		require.Equal(t, "80.00 0.00 80.00", c.balance(euros))

		// F77: the payout is refused, and the reversal of its transfer has to wait.
		r.stripe.Set(payee, "payouts_enabled", false)
		r.stripe.Inject("/v1/transfers/", stripetest.Busy)
		w := r.payOut(c, euros, "10.00", "EUR")
		require.Equal(t, 202, w.status, "%s", w.body)
		require.Equal(t, "80.00 10.00 70.00", c.balance(euros), "not released before the reversal is confirmed")
		r.advance(11 * time.Second)
		r.becomes(w.text(t, "id"), "failed")
		require.Equal(t, "80.00 0.00 80.00", c.balance(euros))
		require.Equal(t, true, r.stripe.Get(r.stripe.Find("transfer", "florin_transaction_id", w.text(t, "id"))[0])["reversed"])

		r.stripe.Set(payee, "payouts_enabled", true)

		// F83: the payee has another account by the time that it is sent. It goes where it was going when it was accepted.
		r.stripe.Inject("/v1/transfers", stripetest.Busy)
		w = r.payOut(c, euros, "10.00", "EUR")
		require.Equal(t, "initiated", w.text(t, "status"), "%s", w.body)
		elsewhere := r.stripe.NewAccount(true)
		require.NoError(t, r.app.DB.Writer().Exec("UPDATE payout_accounts SET provider_account_id = ? WHERE user_id = ?", elsewhere, c.id).Error)
		r.advance(11 * time.Second)
		r.becomes(w.text(t, "id"), "pending")
		sent := r.stripe.Find("transfer", "florin_transaction_id", w.text(t, "id"))
		require.Equal(t, payee, r.stripe.Get(sent[0])["destination"])
		require.NoError(t, r.app.DB.Writer().Exec("UPDATE payout_accounts SET provider_account_id = ? WHERE user_id = ?", payee, c.id).Error)

		// And one whose account is gone by then is refused, and gives its hold back.
		r.stripe.Inject("/v1/transfers", stripetest.Busy)
		w = r.payOut(c, euros, "10.00", "EUR")
		require.Equal(t, "initiated", w.text(t, "status"), "%s", w.body)
		r.stripe.CutOff(payee)
		r.advance(11 * time.Second)
		r.becomes(w.text(t, "id"), "failed")
		require.Equal(t, "80.00 10.00 70.00", c.balance(euros), "the one before is still on its way")
	})
}

// TestF67_F70_F71_F73_StripeTakesBack: what Stripe gives back and takes back, as its events come in their real order.
func TestF67_F70_F71_F73_StripeTakesBack(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		id, intent := r.settled(c, euros, "100.00", "EUR")
		come := func(balance, what string) {
			t.Helper()
			r.deliver()
			r.until(func() bool { return c.balance(euros) == balance }, "%s", what)
			r.quiet()
			require.Equal(t, balance, c.balance(euros), what)
		}

		back := c.do("POST", "/transaction/"+id+"/refund", `{"amount":"10.00"}`)
		require.Contains(t, []int{200, 202}, back.status, "%s", back.body)
		come("90.00 0.00 90.00", "F67: a refund of ours")
		r.becomes(back.text(t, "id"), "completed")
		dashboard := r.stripe.Refund(intent, 2000)
		come("70.00 0.00 70.00", "a refund at the Dashboard is taken back")
		r.stripe.FailRefund(dashboard)
		come("90.00 0.00 90.00", "F69: one that fails comes back")

		unknown := map[string]any{"id": "re_unknown", "object": "refund", "amount": 100,
			"currency": "eur", "status": "succeeded", "payment_intent": "pi_unknown",
			"charge": "ch_1"}
		require.Equal(t, 200, r.hook(r.event("evt_unknown", "refund.created", unknown)))
		r.until(func() bool {
			return strings.HasPrefix(r.verdictOf("evt_unknown"),
				"quarantined: ")
		}, "F73: what Stripe does not know either")
		require.Equal(t, "90.00 0.00 90.00", c.balance(euros))

		inquiry := r.stripe.Inquire(intent)
		come("90.00 0.00 90.00", "F70: an inquiry moves nothing")
		r.stripe.CloseInquiry(inquiry)
		come("90.00 0.00 90.00", "also when it is closed")
		require.Zero(t, r.alerts("dispute"))

		// A dispute that takes everything that is left, is won, and gives it back.
		r.stripe.Set(intent, "amount_received", int64(9000))
		won := r.stripe.Dispute(intent)
		come("0.00 0.00 0.00", "F70: the funds are withdrawn")
		require.EqualValues(t, 1, r.alerts("dispute"))
		r.stripe.CloseDispute(won, true)
		come("90.00 0.00 90.00", "F71: won, it comes back once, although two events say so")

		// One that is lost, when a part of the money is gone already.
		require.Equal(t, 200, c.transfer(euros, other, "50.00", "EUR").status)
		lost := r.stripe.Dispute(intent)
		come("0.00 0.00 0.00", "what is there is taken")
		require.EqualValues(t, 5000, r.owed(euros))
		r.stripe.CloseDispute(lost, false)
		come("0.00 0.00 0.00", "F71: lost, nothing more happens")
		require.EqualValues(t, 5000, r.owed(euros))
		c.transfer(euros, other, "1.00", "EUR").refused(t, 422, "account_in_debt")
		require.Equal(t, []string{"chargeback completed 9000 9000", "chargeback completed 9000 9000", "chargeback_reversal completed 9000 9000",
			"fee completed 1500 1500", "fee completed 1500 1500", "fee completed 320 320", "refund completed 1000 1000", "refund completed 2000 2000",
			"refund_reversal completed 2000 2000"}, slices.Sorted(slices.Values(r.followers(id))))
	})
}

// TestF28_CallsHoldNoDatabase: while Stripe takes its time, no transaction is open, and everybody else goes on.
func TestF28_CallsHoldNoDatabase(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		r.settled(c, euros, "10.00", "EUR")
		r.quiet()
		const n = 40 // more than any pool has
		calls := len(r.stripe.Attempts())
		for range n {
			r.stripe.Inject("/v1/payment_intents", stripetest.Hang)
		}
		var waiting sync.WaitGroup
		for range n {
			waiting.Go(func() {
				began := time.Now()
				assert.Equal(t, 202, c.deposit(euros, "1.00", "EUR").status)
				assert.Less(t, time.Since(began), 10*time.Second)
			})
		}
		r.until(func() bool { return len(r.stripe.Attempts()) == calls+n }, "all wait for Stripe")
		writer, err := r.app.DB.Writer().DB()
		require.NoError(t, err)
		r.until(func() bool { return writer.Stats().InUse <= 1 }, "they hold no connection") // the ledger's own may be one
		require.Equal(t, 200, c.transfer(euros, other, "1.00", "EUR").status)
		waiting.Wait()
		r.advance(11 * time.Second)
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM transactions WHERE status = 'initiated'") == 0 }, "each is repeated")
		require.Len(t, r.stripe.Kind("payment_intent"), n+1, "and made once")
	})
}

// TestF84_ExpiryRacesThePaidWebhook: whoever comes first, what was paid is credited, once.
func TestF84_ExpiryRacesThePaidWebhook(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		const n = 8
		var ids, intents [n]string
		for i := range n {
			ids[i], intents[i] = r.begun(c, euros, "10.00", "EUR")
		}
		r.advance(24*time.Hour + time.Second)
		atOnce(n, func(i int) {
			r.stripe.Pay(intents[i]) // at that moment, whatever was to become of it
			succeeded := intentOf(intents[i], ids[i], 1000, "eur")
			assert.Equal(t, 200, r.hook(r.event("evt_"+ids[i], "payment_intent.succeeded", succeeded)))
		})
		for _, id := range ids {
			r.becomes(id, "completed")
		}
		r.deliver()
		r.quiet()
		require.EqualValues(t, 8000, r.count("SELECT posted FROM accounts WHERE id = ?", euros))
		require.EqualValues(t, n, r.count("SELECT COUNT(*) FROM effects WHERE effect = 'completed'"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))
	})
}
