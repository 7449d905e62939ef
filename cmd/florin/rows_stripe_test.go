package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
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
		r.settled(c, euros, "10.00", "EUR")
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
		id, intent := r.settled(c, euros, "10.00", "EUR")
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
		payout := map[string]any{"id": "po_1", "object": "payout", "amount": 1000,
			"currency": "eur", "status": "paid",
			"metadata": map[string]any{"florin_transaction_id": id}}
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
		// It is the user who has to wait, on whatever account.
		c.deposit(other, "1.00", "EUR").refused(t, 429, "too_many_failed_deposits")
		neighbour := r.user() // another user is not concerned yet
		_, first := r.begun(neighbour, neighbour.open("EUR"), "1.00", "EUR")
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

// TestS70_OpenPaymentsOfACardTesterAreCanceled: 25 declines on one of many open intents, and none of them can be confirmed any
// more; the payments of others can.
func TestS70_OpenPaymentsOfACardTesterAreCanceled(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c, other := r.user(), r.user()
		euros, dollars := c.open("EUR"), c.open("USD")
		ids, intents := []string{}, []string{}
		for range 5 {
			for account, currency := range map[string]string{euros: "EUR", dollars: "USD"} {
				id, intent := r.begun(c, account, "1.00", currency)
				ids, intents = append(ids, id), append(intents, intent)
			}
		}
		kept, keptIntent := r.begun(other, other.open("EUR"), "1.00", "EUR")
		for i := range 25 {
			r.stripe.DeclineCard(intents[0], fmt.Sprintf("fp%d", i))
		}
		r.deliver()
		for i, id := range ids {
			r.becomes(id, "failed")
			require.Equal(t, "canceled", r.stripe.Get(intents[i])["status"])
		}
		require.Equal(t, "expired", r.stored("SELECT failure_code FROM transactions WHERE id = ?", ids[1]))
		c.deposit(dollars, "1.00", "USD").refused(t, 429, "too_many_failed_deposits")
		require.Equal(t, "pending", r.statusOf(kept))
		require.NotEqual(t, "canceled", r.stripe.Get(keptIntent)["status"])

		// One card, over many users: the one with whom it fails last is stopped at once.
		r.advance(2 * time.Hour)
		for range 9 {
			someone := r.user()
			_, intent := r.begun(someone, someone.open("EUR"), "1.00", "EUR")
			r.stripe.DeclineCard(intent, "fpShared")
		}
		last := r.user()
		account := last.open("EUR")
		untried, _ := r.begun(last, account, "1.00", "EUR")
		_, tried := r.begun(last, account, "1.00", "EUR")
		r.stripe.DeclineCard(tried, "fpShared")
		r.deliver()
		r.becomes(untried, "failed")
		last.deposit(account, "1.00", "EUR").refused(t, 429, "too_many_failed_deposits")
		require.NotContains(t, r.column("SELECT payload FROM inbox"), "4242424242424242")
	})
}

// TestS70_BoundsOverHTTP: the bounds of a user, each with its own code.
func TestS70_BoundsOverHTTP(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		id, _ := r.begun(c, euros, "1.00", "EUR")
		r.begun(c, euros, "1.00", "EUR")
		c.deposit(euros, "1.00", "EUR").refused(t, 429, "too_many_open_deposits")
		require.Equal(t, 200, c.do("POST", "/transaction/"+id+"/cancel", "").status)
		r.begun(c, euros, "1.00", "EUR")
		dollars := c.open("USD")
		c.do("POST", "/account", `{"currency":"EUR"}`).refused(t, 422, "too_many_accounts")
		require.Equal(t, 200, c.do("POST", "/account/"+dollars+"/close", "").status)
		c.open("EUR")
	}, func(c *Config, _ *Options) { c.OpenDeposits, c.OpenAccounts = 2, 2 })
}

func TestS48_NoCardFields(t *testing.T) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		c := r.user()
		euros := c.open("EUR")
		for _, field := range []string{"card", "card_number", "number", "cvc", "exp_month", "payment_method_data"} {
			a := c.do("POST", "/account/"+euros+"/deposit", fmt.Sprintf(`{"amount":"10.00","currency":"EUR","money_source":"card",%q:"4242424242424242"}`, field))
			require.Equal(t, 400, a.status, field)
			require.NotContains(t, string(a.body), "42424242")
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
