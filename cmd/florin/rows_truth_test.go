package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe/stripetest"
)

// TestF132_AuthenticWebhooksThatAreNotForUs: Stripe's thin events, and whatever else is signed and
// nothing that we can use, are taken once, with an alert; what is no JSON is refused and told in
// the log, without the body.
func TestF132_AuthenticWebhooksThatAreNotForUs(t *testing.T) {
	var log journal
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		thin := `{"id":"evt_65thin","object":"v2.core.event","type":"v2.core.account.updated","livemode":false,
			"created":"2026-01-01T12:00:00.000Z","related_object":{"id":"acct_1","type":"v2.core.account"}}`
		for range 2 {
			require.Equal(t, 200, r.hook([]byte(thin)))
		}
		require.Equal(t,
			"ignored: cannot be used: an event of another kind than those that carry their object",
			r.verdictOf("evt_65thin"))
		require.EqualValues(t, 1, r.alerts("unusable_event"))
		for i, body := range []string{"[]", `"payment"`, `{"type":7}`} {
			require.Equal(t, 200, r.hook([]byte(body)), body)
			require.EqualValues(t, 2+i, r.alerts("unusable_event"), body)
		}
		require.EqualValues(t, 4, r.count("SELECT COUNT(*) FROM inbox WHERE status = 'ignored'"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews"))

		const canary = "canary-of-a-body"
		require.Equal(t, 400, r.hook([]byte(`{"id":"`+canary)))
		require.Contains(t, log.String(), "authentic webhook cannot be read")
		require.Contains(t, log.String(), "the body is not JSON")
		require.NotContains(t, log.String(), canary)

		require.Equal(t, 200, r.webhook("evt_list", "[]"))
		require.True(t, strings.HasPrefix(r.inbox("evt_list"), "ignored: cannot be used"),
			r.inbox("evt_list"))
		lost := strings.Replace(event("payment.completed", "pay_1", "", 100, "EUR"), "100",
			`"100"`, 1)
		require.Equal(t, 200, r.webhook("evt_lost", lost))
		require.Equal(t, "quarantined: an event that is not ours to book", r.inbox("evt_lost"),
			"money may have moved")
	}, func(_ *Config, o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
}

// TestF133_NextActionEndsWithThePayment: in answers and at rest. A replay is the first answer, byte
// for byte.
func TestF133_NextActionEndsWithThePayment(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		paid := c.deposit(euros, "10.00", "EUR", "Idempotency-Key", "one")
		id, intent := paid.text(t, "id"), paid.text(t, "payment_id")
		secret := paid.json(t)["next_action"].(map[string]any)["client_secret"].(string)
		require.NotEmpty(t, secret)
		stored := func(of string) int64 {
			return r.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND next_action IS NOT NULL", of)
		}
		require.EqualValues(t, 1, stored(id))
		gone, other := r.begun(c, euros, "5.00", "EUR")
		r.stripe.Pay(intent)
		r.stripe.Cancel(other)
		r.deliver()
		r.becomes(id, "completed")
		r.becomes(gone, "failed")
		for _, ended := range []string{id, gone} {
			require.Zero(t, stored(ended))
			for _, path := range []string{"/transaction/" + ended,
				"/account/" + euros + "/transactions", "/transaction/" + ended + "/timeline"} {
				shown := c.do("GET", path, "")
				require.Equal(t, 200, shown.status, path)
				require.NotContains(t, string(shown.body), secret, path)
			}
			require.Nil(t, c.do("GET", "/transaction/"+ended, "").json(t)["next_action"])
		}
		require.Zero(t, r.count("SELECT COUNT(*) FROM payment_events WHERE payload LIKE ?",
			fmt.Sprintf("%%%s%%", secret)))
		requireReplay(t, paid, c.deposit(euros, "10.00", "EUR", "Idempotency-Key", "one"))
	})
}

// TestF160_RefundsOfYenInPieces: each yen of a deposit on an account of euros goes back by a
// request of its own.
func TestF160_RefundsOfYenInPieces(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, _ := c.paid(euros, "5", "JPY")
		credited := c.minor(euros)
		require.Positive(t, credited)
		var last answer
		for i := range 5 {
			last = c.refund(id, `{"amount":"1"}`)
			require.Equal(t, 202, last.status, "piece %d: %s", i, last.body)
			r.quiet()
			r.done("/refunds/"+last.text(t, "payment_id")+"/complete", "")
			c.await(last.text(t, "id"), "completed")
		}
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, credited,
			r.count("SELECT SUM(COALESCE(posted_amount, 0)) FROM transactions WHERE type = 'refund'"))
		require.Positive(t,
			r.count("SELECT COUNT(*) FROM transactions WHERE type = 'refund' AND posted_amount IS NULL"), "one cost nothing")
		require.Equal(t, "0.00", c.do("GET",
			"/transaction/"+r.column("SELECT id FROM transactions WHERE type = 'refund' AND posted_amount IS NULL")[0], "").text(t, "posted_amount"))
		c.refund(id, `{"amount":"1"}`).refused(t, 409, "not_refundable")
	})
}

// TestF147_F148_WhatTheBankTookBeyondThePayment: a dispute that is won and opened again when the
// payment is refunded. Both sides' books are compared at the end.
func TestF147_F148_WhatTheBankTookBeyondThePayment(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		stands := func(balance string, owed int64, why string) {
			t.Helper()
			r.until(func() bool { return c.balance(euros) == balance && r.owed(euros) == owed },
				"%s: %s owed %d", why, c.balance(euros), r.owed(euros))
			r.quiet()
		}
		r.done("/payments/"+payment+"/disputes", `{"amount":6000}`)
		stands("40.00 0.00 40.00", 0, "disputed")
		dispute := r.atBank(payment).Disputes[0].ID
		r.done("/disputes/"+dispute+"/won", "")
		stands("100.00 0.00 100.00", 0, "won")
		r.done("/disputes/"+dispute+"/lost", "")
		stands("40.00 0.00 40.00", 0, "lost after all")
		r.done("/disputes/"+dispute+"/won", "")
		stands("100.00 0.00 100.00", 0, "and won again")
		require.EqualValues(t, 2, r.alerts("dispute"))
		r.done("/payments/"+payment+"/refunds", `{"amount":7000}`)
		stands("30.00 0.00 30.00", 0, "refunded")
		c.fund(euros, "50.00", "EUR")
		r.done("/disputes/"+dispute+"/reopen", "")
		stands("50.00 0.00 50.00", 3000, "what was left of the payment is taken, the rest is owed")
		require.EqualValues(t, 1, r.alerts("dispute_above_captured"))
		require.EqualValues(t, 1, r.alerts("receivable"))
		require.Equal(t, []string{"chargeback completed 3000 3000",
			"chargeback completed 3000 3000", "chargeback completed 6000 6000",
			"chargeback completed 6000 6000", "refund completed 7000 7000"},
			slices.DeleteFunc(slices.Sorted(slices.Values(r.followers(id))),
				func(f string) bool { return strings.HasPrefix(f, "chargeback_reversal") }))
		c.transfer(euros, other, "1.00", "EUR").refused(t, 422, "account_in_debt")

		review := r.reviewOf("receivable")
		standing, outcomes := r.decision(boss, review)
		require.Equal(t, "30.00 EUR", standing)
		require.Equal(t, []any{"charge_account", "write_off"}, outcomes)
		require.Equal(t, 200, r.settles(boss, review, "charge_account", "").status)
		stands("20.00 0.00 20.00", 0, "the account has paid what it owed")
		r.settledOnce(boss, review)
		require.Equal(t, 200, c.transfer(euros, other, "1.00", "EUR").status)
	})
}

// TestF147_AnOverpaidDepositIsGivenBackWhole: what of it waits in suspense is taken from there.
func TestF147_AnOverpaidDepositIsGivenBackWhole(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		d, review := r.overpaid(c, euros)
		r.done("/payments/"+d.text(t, "payment_id")+"/refunds", "{}")
		r.until(func() bool { return c.balance(euros) == "0.00 0.00 0.00" }, "all is given back")
		r.quiet()
		require.Zero(t, r.owed(euros))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		for _, id := range []string{review, r.reviewOf("unmatched_returned")} {
			standing, outcomes := r.decision(boss, id)
			require.Empty(t, standing)
			require.Equal(t, []any{"dismiss"}, outcomes)
			require.Equal(t, 200, r.settles(boss, id, "dismiss", "").status)
		}
		refund := r.atBank(d.text(t, "payment_id")).Refunds[0].ID
		r.done("/refunds/"+refund+"/fail", "")
		r.until(func() bool { return c.balance(euros) == "100.00 0.00 100.00" }, "it comes back")
		r.quiet()
		back := r.reviewOf("unmatched_returned")
		standing, outcomes := r.decision(boss, back)
		require.Equal(t, "1.00 EUR", standing)
		require.Contains(t, outcomes, "credit_account")
		require.Equal(t, 200, r.settles(boss, back, "credit_account", euros).status)
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.Equal(t, "101.00 0.00 101.00", c.balance(euros))
		r.advance(25 * time.Hour)
		r.reconciles()
		found, err := r.app.Reconciler.State(t.Context(), account.Page{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, found.Differences)
	})
}

// TestF147_MoreThanWasPaid: a refund and a dispute above the payment, of money that is converted.
func TestF147_MoreThanWasPaid(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		boss := r.admin().token
		c := r.user()
		dollars := c.open("USD")
		id, payment := c.paid(dollars, "100.00", "EUR")
		require.Equal(t, 200, r.webhook("evt_above", part("payment.refunded", payment, id,
			"refund_id", "re_above", 10200, "EUR")))
		require.Equal(t, "processed: refund", r.inbox("evt_above"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(dollars))
		owed := r.owed(dollars)
		require.Positive(t, owed, "the 2.00 EUR, in dollars")
		require.Equal(t, 200, r.webhook("evt_disputed", part("payment.disputed", payment, id,
			"dispute_id", "dp_above", 10000, "EUR")))
		require.Greater(t, r.owed(dollars), owed)
		for range 2 {
			id := r.column("SELECT id FROM reviews WHERE kind = 'receivable' AND status = 'open'")[0]
			_, outcomes := r.decision(boss, id)
			require.Equal(t, []any{"write_off"}, outcomes)
			require.Equal(t, 200, r.settles(boss, id, "write_off", "").status)
		}
		require.Zero(t, r.owed(dollars))
	})
}

// TestF148_LostAfterWonWithoutProof: a person takes the money back, once; the event that proves it
// later is known.
func TestF148_LostAfterWonWithoutProof(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		for i, kind := range []string{"payment.disputed", "payment.dispute_won",
			"payment.dispute_lost", "payment.dispute_lost"} {
			require.Equal(t, 200, r.webhook(fmt.Sprint("evt_", i), part(kind, payment, id,
				"dispute_id", "dp_1", 6000, "EUR")))
		}
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.EqualValues(t, 1, r.alerts("taken_again"))
		review := r.reviewOf("taken_again")
		_, outcomes := r.decision(boss, review)
		require.Equal(t, []any{"take_back", "dismiss"}, outcomes)
		require.Equal(t, 200, r.settles(boss, review, "take_back", "").status)
		require.Equal(t, "40.00 0.00 40.00", c.balance(euros))
		r.settledOnce(boss, review)
		again := strings.Replace(part("payment.disputed", payment, id, "dispute_id", "dp_1", 6000,
			"EUR"), `"amount"`, `"turn":2,"amount"`, 1)
		require.Equal(t, 200, r.webhook("evt_proof", again))
		require.Equal(t, "processed: effect already applied", r.inbox("evt_proof"))
		require.Equal(t, "40.00 0.00 40.00", c.balance(euros))
	})
}

// TestF148_StripeTakesADisputeAgain: the turns are read from the dispute's balance transactions.
func TestF148_StripeTakesADisputeAgain(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		_, intent := r.settled(c, euros, "100.00", "EUR")
		come := func(balance string) {
			t.Helper()
			r.deliver()
			r.until(func() bool { return c.balance(euros) == balance }, "%s", c.balance(euros))
			r.quiet()
		}
		dispute := r.stripe.Dispute(intent)
		come("0.00 0.00 0.00")
		r.stripe.CloseDispute(dispute, true)
		come("100.00 0.00 100.00")
		r.stripe.DisputeAgain(dispute)
		come("0.00 0.00 0.00")
		r.stripe.CloseDispute(dispute, false)
		come("0.00 0.00 0.00")
		r.delivered = 0
		r.deliver()
		r.quiet()
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Zero(t, r.owed(euros))
		require.EqualValues(t, 2, r.alerts("dispute"))
	})
}

// TestF153_StripeRefundThatWasNeverMade: begun at the Dashboard, pending, failed.
func TestF153_StripeRefundThatWasNeverMade(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		_, intent := r.settled(c, euros, "100.00", "EUR")
		refund := func(event, kind, status string) {
			require.Equal(t, 200, r.hook(r.event(event, kind, map[string]any{"id": "re_1",
				"object": "refund", "amount": 3000, "currency": "eur",
				"status": status, "payment_intent": intent, "charge": "ch_1"})))
		}
		refund("evt_begun", "refund.created", "pending")
		refund("evt_failed", "refund.failed", "failed")
		refund("evt_updated", "charge.refund.updated", "failed")
		require.Equal(t, "processed: the refund was not made", r.verdictOf("evt_failed"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews"))
	})
}

// TestF152_EventsOfAnotherProgram: a sale that nobody here began, with all that follows it, is
// counted and is nobody's work; and a payment of ours is never taken for one, also where our call
// that made it had no answer.
func TestF152_EventsOfAnotherProgram(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		calm := func() {
			t.Helper()
			r.deliver()
			r.advance(5 * time.Second)
			r.until(func() bool { return r.count("SELECT COUNT(*) FROM inbox WHERE next_attempt_at IS NOT NULL") == 0 }, "all is worked off: %v",
				r.column("SELECT type || ' ' || status || ' ' || reason FROM inbox WHERE next_attempt_at IS NOT NULL"))
		}
		sale := r.stripe.Sell(5000, "eur")
		r.stripe.Sell(5000, "xag") // a currency that we do not have
		refund := r.stripe.Refund(sale, 1000)
		r.stripe.FailRefund(refund)
		r.stripe.CloseDispute(r.stripe.Dispute(sale), true)
		r.stripe.PayOwner(3000, "eur")
		stranger := r.stripe.NewAccount(true)
		theirs := map[string]any{"id": "po_1", "object": "payout", "amount": 1000,
			"currency": "eur", "status": "paid", "metadata": map[string]any{}}
		require.Equal(t, 200, r.hook(stripetest.Render("evt_theirs", "payout.paid", stranger,
			r.app.Clock(), theirs)))
		calm()
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews"),
			r.column("SELECT kind || ' ' || detail FROM reviews"))
		require.Empty(t,
			r.column("SELECT type || ' ' || status || ' ' || reason FROM inbox WHERE status NOT IN ('ignored', 'processed')"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions"))
		require.GreaterOrEqual(t,
			r.metric(`florin_provider_events_total{provider="stripe",verdict="foreign"}`), int64(8))
		require.Equal(t, "ignored: foreign: begun by nobody here", r.verdictOf("evt_theirs"))

		// Ours, whose making was never answered. A refund at the Dashboard names the intent alone,
		// and comes first.
		r.stripe.Inject("/v1/payment_intents", stripetest.LoseReply)
		d := c.deposit(euros, "10.00", "EUR")
		require.Equal(t, "initiated", d.text(t, "status"))
		id := d.text(t, "id")
		intent := r.stripe.Find("payment_intent", "florin_transaction_id", id)[0]
		r.stripe.Pay(intent)
		r.stripe.Refund(intent, 400)
		events := r.stripe.Events()
		for i := len(events) - 1; i >= r.delivered; i-- {
			require.Equal(t, 200, r.hook(events[i].Body), events[i].Type)
		}
		r.delivered = len(events)
		r.becomes(id, "completed")
		r.until(func() bool { r.advance(time.Second); return c.balance(euros) == "6.00 0.00 6.00" }, "the refund finds its payment")
		calm()
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews"))
	})
}

// TestF147_ASecondPaymentComesAndGoes: what waits of it is taken from there and comes back there,
// also where the event names no more than the refund. A deposit whose client calls its source by
// our word is a deposit.
func TestF147_ASecondPaymentComesAndGoes(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		d := c.do("POST", "/account/"+euros+"/deposit",
			`{"amount":"100.00","currency":"EUR","money_source":"suspense"}`)
		require.Equal(t, 202, d.status, "%s", d.body)
		r.complete(d.text(t, "payment_id"))
		id := d.text(t, "id")
		c.await(id, "completed")
		require.Equal(t, 200, r.webhook("evt_failed", event("payment.failed", d.text(t,
			"payment_id"), id, 10000, "EUR")))
		r.advance(5 * time.Second)
		r.until(func() bool { return strings.HasPrefix(r.inbox("evt_failed"), "quarantined") },
			"the bank does not stand by it")
		_, outcomes := r.decision(boss, r.reviewOf("failed_after_completed"))
		require.Equal(t, []any{"dismiss"}, outcomes)

		require.Equal(t, 200, r.webhook("evt_second", event("payment.completed", "pay_second", id,
			4000, "EUR")))
		require.Equal(t, 200, r.webhook("evt_back", part("payment.refunded", "pay_second", id,
			"refund_id", "re_second", 4000, "EUR")))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.Equal(t, 200, r.webhook("evt_again", part("refund.failed", "pay_second", "",
			"refund_id", "re_second", 4000, "EUR")))
		require.Equal(t, "processed: refund_reversal", r.inbox("evt_again"))
		require.EqualValues(t, 4000, r.systemBalance("suspense", "EUR"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, 200, r.settles(boss, r.reviewOf("second_capture"), "credit_account",
			euros).status)
		require.Equal(t, "140.00 0.00 140.00", c.balance(euros))
	})
}
