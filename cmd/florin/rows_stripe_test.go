package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/stripe/stripetest"
)

func TestF22_F23_F24_F28_F29_F31_StripeAnswerLost(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		for i, fault := range []stripetest.Fault{stripetest.LoseReply, stripetest.Hang, stripetest.ServerError, stripetest.StoredError, stripetest.Garbage, stripetest.OtherAmount, stripetest.Redirect,
			stripetest.Flood, stripetest.Drip} {
			r.stripe.Inject("/v1/payment_intents", fault)
			d := c.deposit(euros, "10.00", "EUR")
			require.Equal(t, 202, d.status, "%s: %s", fault, d.body)
			require.Equal(t, "initiated", d.text(t, "status"), fault)
			id := d.text(t, "id")
			r.advance(11 * time.Second)
			r.becomes(id, "pending")
			intents := r.stripe.Find("payment_intent", "florin_transaction_id", id)
			require.Len(t, intents, 1, fault)
			r.stripe.Pay(intents[0])
			r.deliver()
			r.becomes(id, "completed")
			require.Equal(t, fmt.Sprintf("%d.00 0.00 %d.00", 10*(i+1), 10*(i+1)), c.balance(euros))
		}
	})
}

func TestF25_F26_F27_StripeSaysNoOrNotNow(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		r.stripe.Inject("/v1/payment_intents", stripetest.Refuse)
		d := c.deposit(euros, "10.00", "EUR")
		require.Equal(t, 200, d.status)
		require.Equal(t, "failed", d.text(t, "status"))
		require.Equal(t, "declined", d.json(t)["failure"].(map[string]any)["code"])

		before := len(r.stripe.Attempts())
		r.stripe.Inject("/v1/payment_intents", stripetest.Busy)
		d = c.deposit(euros, "10.00", "EUR")
		require.Equal(t, 202, d.status)
		r.advance(11 * time.Second)
		r.becomes(d.text(t, "id"), "pending")
		attempts := r.stripe.Attempts()[before:]
		require.Len(t, attempts, 2)
		require.Equal(t, attempts[0], attempts[1], "the same bytes under the same key")
	})
}

func TestF32_StripeDeadline(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		forgotten, intent := r.begun(c, euros, "10.00", "EUR")
		slow, processing := r.begun(c, euros, "20.00", "EUR")
		r.stripe.Process(processing)
		r.deliver()
		r.advance(25 * time.Hour)
		r.becomes(forgotten, "failed")
		require.Equal(t, "expired", r.stored("SELECT failure_code FROM transactions WHERE id = ?", forgotten))
		require.Equal(t, "canceled", r.stripe.Get(intent)["status"])
		require.Equal(t, "pending", r.statusOf(slow), "what Stripe cannot cancel stays open")
		r.stripe.Pay(processing)
		r.deliver()
		r.becomes(slow, "completed")
	})
}

func TestF33_CircuitOpen(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
		r.stripe.Inject("", stripetest.Down)
		var refusedAt answer
		r.until(func() bool { refusedAt = c.deposit(euros, "1.00", "EUR"); return refusedAt.status == 503 }, "the circuit opens")
		refusedAt.refused(t, 503, "provider_unavailable")
		before := r.count("SELECT COUNT(*) FROM transactions")
		calls := r.stripe.Calls()
		c.deposit(euros, "1.00", "EUR").refused(t, 503, "provider_unavailable")
		require.Equal(t, before, r.count("SELECT COUNT(*) FROM transactions"), "nothing was stored")
		require.LessOrEqual(t, r.stripe.Calls()-calls, 8, "only the sweep asks")
		require.Equal(t, 200, c.transfer(euros, other, "1.00", "EUR").status, "what needs no provider goes on")
		require.Equal(t, int64(1), r.alerts("provider_circuit_open"))
		r.stripe.Heal()
		r.advance(5 * time.Minute)
		r.until(func() bool { return c.deposit(euros, "1.00", "EUR").status == 202 }, "the circuit closes")
	}, quick)
}

func TestF37_StripeSameEventOtherBody(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		body := r.event("evt_same", "payment_intent.succeeded", intentOf(intent, id, 1000, "eur"))
		r.stripe.Pay(intent)
		require.Equal(t, 200, r.hook(body))
		require.Equal(t, 200, r.hook(bytes.Replace(body, []byte("1000"), []byte("9000"), 2)))
		r.deliver()
		r.becomes(id, "completed")
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))
		r.until(func() bool { return r.alerts("webhook_conflict") >= 1 }, "the conflict is told")
	})
}

// TestF38_F39_F43_Checkout: session, intent and charge tell one fact, in any order, any number of times.
func TestF38_F39_F43_Checkout(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		checkout := func() (id, session string) {
			d := c.do("POST", "/account/"+euros+"/deposit", `{"amount":"10.00","currency":"EUR","money_source":"card","payment_flow":"checkout"}`)
			require.Equal(t, 202, d.status, "%s", d.body)
			require.Equal(t, "redirect", d.json(t)["next_action"].(map[string]any)["type"])
			id = d.text(t, "id")
			return id, r.stripe.Find("checkout.session", "florin_transaction_id", id)[0]
		}
		id, session := checkout()
		r.stripe.PaySession(session)
		events := r.stripe.Events()
		for i := len(events) - 1; i >= 0; i-- { // the newest first
			atOnce(8, func(int) { assert.Equal(t, 200, r.hook(events[i].Body)) })
		}
		r.deliver()
		r.becomes(id, "completed")
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))

		late, session := checkout()
		r.stripe.PaySessionLater(session)
		r.deliver()
		require.Equal(t, "pending", r.statusOf(late))
		r.stripe.SettleSession(session, true)
		r.deliver()
		r.becomes(late, "completed")
		require.Equal(t, "20.00 0.00 20.00", c.balance(euros))

		never, session := checkout()
		r.stripe.ExpireSession(session)
		r.deliver()
		r.becomes(never, "failed")
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM transactions WHERE type = 'fee'") == 2 }, "what Stripe kept is booked, once for each")
	})
}

func TestF40_F44_F45_F46_StripePays(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		r.stripe.Decline(intent, "insufficient_funds")
		r.deliver()
		require.Equal(t, "pending", r.statusOf(id), "F40: a failed attempt is not the end")
		r.stripe.PayPart(intent, 700)
		r.deliver()
		r.becomes(id, "completed")
		require.Equal(t, "7.00 0.00 7.00", c.balance(euros))
		require.Equal(t, "7.00", c.do("GET", "/transaction/"+id, "").text(t, "received_amount"))

		id, intent = r.begun(c, euros, "10.00", "EUR")
		r.stripe.PayPart(intent, 1250)
		r.deliver()
		r.becomes(id, "completed")
		require.Equal(t, "17.00 0.00 17.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched' AND amount = 250"))

		id, intent = r.begun(c, euros, "10.00", "EUR")
		r.stripe.Set(intent, "currency", "usd")
		r.stripe.Pay(intent)
		r.deliver()
		r.until(func() bool { return r.alerts("other_currency") == 1 }, "other money is told")
		require.Equal(t, "pending", r.statusOf(id))
		require.Equal(t, "17.00 0.00 17.00", c.balance(euros))
	})
}

func TestF41_F42_F124_StripeContradictsItself(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
		canceled := intentOf(intent, id, 1000, "eur")
		require.Equal(t, 200, r.hook(r.event("evt_canceled", "payment_intent.canceled", canceled)))
		r.quiet()
		require.Equal(t, "completed", r.statusOf(id), "F41")
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))

		require.Equal(t, 200, r.hook(r.event("evt_second", "payment_intent.succeeded", intentOf("pi_second", id, 1000, "eur"))))
		r.quiet()
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros), "F124")
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))

		id, intent = r.begun(c, euros, "10.00", "EUR")
		require.Equal(t, 200, r.hook(r.event("evt_gone", "payment_intent.canceled", intentOf(intent, id, 1000, "eur"))))
		r.becomes(id, "failed")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed") // F42: asked about, and believed
		require.Equal(t, "20.00 0.00 20.00", c.balance(euros))
	})
}

func TestF47_F54_F66_S50_StripeEventsThatAreNotOurs(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		live := bytes.ReplaceAll(r.event("evt_live", "payment_intent.succeeded", intentOf(intent, id, 1000, "eur")), []byte(`"livemode": false`), []byte(`"livemode": true`))
		require.Equal(t, 200, r.hook(live))
		require.Contains(t, r.verdictOf("evt_live"), "quarantined: ")
		for name, object := range map[string]map[string]any{
			"evt_shape": {"id": intent, "amount_received": "lots", "currency": "eur"}, "evt_empty": {}, "evt_money": intentOf(intent, id, 1000, "zzz"),
			"evt_hostile": intentOf("'; DROP TABLE", id, 1000, "eur"), "evt_negative": intentOf(intent, id, -1000, "eur"),
		} {
			require.Equal(t, 200, r.hook(r.event(name, "payment_intent.succeeded", object)), name)
			require.Contains(t, r.verdictOf(name), "quarantined: ", name)
		}
		foreign := intentOf(intent, id, 1000, "eur")
		foreign["metadata"] = map[string]any{"florin_transaction_id": id, "florin_account_id": uuid.NewString()}
		require.Equal(t, 200, r.hook(r.event("evt_account", "payment_intent.succeeded", foreign)))
		require.Contains(t, r.verdictOf("evt_account"), "quarantined: ")
		require.Equal(t, "pending", r.statusOf(id))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, int64(6), r.alerts("foreign_event"))

		stranger := r.stripe.NewAccount(true)
		payout := map[string]any{"id": "po_1", "object": "payout", "amount": 1000, "currency": "eur", "status": "paid", "metadata": map[string]any{}}
		require.Equal(t, 200, r.hook(stripetest.Render("evt_stranger", "payout.paid", stranger, r.app.Clock(), payout)))
		r.advance(5 * time.Second)
		r.until(func() bool { return r.alerts("foreign_event") == 7 }, "an account that we never onboarded is told")
	})
}

func TestF51_F52_F53_S51_StripeSignature(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "10.00", "EUR")
		body := r.event("evt_1", "payment_intent.succeeded", intentOf(intent, id, 1000, "eur"))
		for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
			require.Equal(t, 400, r.post(body, stripetest.Sign(body, rigStripeSecret, r.app.Clock().Add(off))), "F51")
		}
		require.Equal(t, 400, r.post(body, stripetest.Sign(body, rigStripeSecret2, r.app.Clock())))
		now := r.app.Clock()
		good := stripetest.Signature(body, rigStripeSecret, now)
		for _, header := range []string{
			"", "t=", fmt.Sprintf("t=%d", now.Unix()), "v1=" + good, fmt.Sprintf("t=%d,v0=%s", now.Unix(), good), fmt.Sprintf("t=%d,t=%d,v1=%s", now.Unix(), now.Unix(), good),
			fmt.Sprintf("t=%d,v1=%s", now.Unix(), strings.Repeat("z", 64)), fmt.Sprintf("t=%d%s,v1=%s", now.Unix(), strings.Repeat(",v1=00", 40), good),
		} {
			require.Equal(t, 400, r.post(body, http.Header{"Stripe-Signature": {header}}), "F53: %q", header)
		}
		require.Equal(t, 400, r.post(body, http.Header{"Authorization": {"Bearer " + c.token}}), "S51: a user's token opens nothing")
		require.Zero(t, r.count("SELECT COUNT(*) FROM inbox"))
		require.EqualValues(t, 1, r.alerts("webhook_clock"), "F51: a clock is wrong, told once a minute")
		r.advance(time.Minute)
		require.Equal(t, 400, r.post(body, stripetest.Sign(body, rigStripeSecret, r.app.Clock().Add(-10*time.Minute))))
		require.EqualValues(t, 2, r.alerts("webhook_clock"))

		rotating := r.config
		rotating.StripeWebhookSecrets = []secret{rigStripeSecret2, rigStripeSecret}
		require.NoError(t, r.app.Reload(rotating))
		require.Equal(t, 200, r.post(body, stripetest.Sign(body, rigStripeSecret2, r.app.Clock())), "F52")
		require.Equal(t, 200, r.hook(body))
		rotating.StripeWebhookSecrets = []secret{rigStripeSecret2}
		require.NoError(t, r.app.Reload(rotating))
		require.Equal(t, 400, r.hook(body))
		rotating.StripeWebhookSecrets = []secret{""}
		require.Error(t, r.app.Reload(rotating))
		require.Equal(t, 200, r.post(body, stripetest.Sign(body, rigStripeSecret2, r.app.Clock())), "what cannot be used leaves the old ones")
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))
	})
}

func TestS32_CardTesting(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		for range 2 {
			id, intent := r.begun(c, euros, "1.00", "EUR")
			for range 4 {
				r.stripe.Decline(intent, "generic_decline")
			}
			r.stripe.Cancel(intent)
			r.deliver()
			r.becomes(id, "failed")
		}
		// Eight attempts and two payments failed: that is ten.
		c.deposit(euros, "1.00", "EUR").refused(t, 429, "too_many_failed_deposits")
		require.Equal(t, int64(1), r.alerts("card_testing"))
		_, first := r.begun(c, other, "1.00", "EUR") // another account is not concerned yet
		for range 20 {
			r.stripe.Decline(first, "generic_decline")
		}
		r.deliver()
		stranger := r.user()
		stranger.deposit(stranger.open("EUR"), "1.00", "EUR").refused(t, 429, "too_many_failed_deposits") // the address is
		r.advance(time.Hour + time.Minute)
		again := r.user()
		r.begun(again, again.open("EUR"), "1.00", "EUR")
	})
}

func TestS48_NoCardFields(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		for _, field := range []string{"card", "card_number", "number", "cvc", "exp_month", "payment_method_data"} {
			a := c.do("POST", "/account/"+euros+"/deposit", fmt.Sprintf(`{"amount":"10.00","currency":"EUR","money_source":"card",%q:"4242424242424242"}`, field))
			require.Equal(t, 400, a.status, field)
			require.NotContains(t, string(a.body), "4242")
		}
		require.Empty(t, r.stripe.Attempts())
	})
}

func TestStripeAmounts(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		for currency, amount := range map[string]string{"KWD": "5.124", "MGA": "5.20", "CLF": "1.0000"} {
			account := c.open(currency)
			a := c.deposit(account, amount, currency)
			require.Equal(t, 422, a.status, "%s", a.body)
		}
		euros := c.open("EUR")
		a := c.do("POST", "/account/"+euros+"/deposit", `{"amount":"10.00","currency":"EUR","money_source":"card","payment_flow":"barter"}`)
		requireProblem(t, a, 422, "unknown_payment_flow", "payment_flow")
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions"))
		require.Empty(t, r.stripe.Attempts())
		_, intent := r.begun(c, c.open("JPY"), "500", "JPY")
		require.EqualValues(t, 500, r.stripe.Get(intent)["amount"])
	})
}

func TestF30_F77_F78_F79_StripeWithdrawals(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, intent := r.begun(c, euros, "100.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
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
		id, intent := r.begun(c, euros, "100.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
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
		id, intent := r.begun(c, euros, "100.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
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

		for name, refund := range map[string]map[string]any{
			"evt_above":   {"id": "re_above", "object": "refund", "amount": 9001, "currency": "eur", "status": "succeeded", "payment_intent": intent, "charge": "ch_1"},
			"evt_unknown": {"id": "re_unknown", "object": "refund", "amount": 100, "currency": "eur", "status": "succeeded", "payment_intent": "pi_unknown", "charge": "ch_1"},
		} {
			require.Equal(t, 200, r.hook(r.event(name, "refund.created", refund)))
			require.Contains(t, r.verdictOf(name), "quarantined: ", "F73: %s", name)
		}
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
		id, intent := r.begun(c, euros, "10.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
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
