package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestF132_AuthenticWebhooksThatAreNotForUs: Stripe's thin events, and whatever else is signed and nothing that we can use, are taken
// once, with an alert; what is no JSON is refused and told in the log, without the body.
func TestF132_AuthenticWebhooksThatAreNotForUs(t *testing.T) {
	var log journal
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		thin := `{"id":"evt_65thin","object":"v2.core.event","type":"v2.core.account.updated","livemode":false,
			"created":"2026-01-01T12:00:00.000Z","related_object":{"id":"acct_1","type":"v2.core.account"}}`
		for range 2 {
			require.Equal(t, 200, r.hook([]byte(thin)))
		}
		require.Equal(t, "ignored: cannot be used: an event of another kind than those that carry their object", r.verdictOf("evt_65thin"))
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
		require.True(t, strings.HasPrefix(r.inbox("evt_list"), "ignored: cannot be used"), r.inbox("evt_list"))
		lost := strings.Replace(event("payment.completed", "pay_1", "", 100, "EUR"), "100", `"100"`, 1)
		require.Equal(t, 200, r.webhook("evt_lost", lost))
		require.Equal(t, "quarantined: an event that is not ours to book", r.inbox("evt_lost"), "money may have moved")
	}, func(_ *Config, o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
}

// TestF133_NextActionEndsWithThePayment: in answers and at rest. A replay is the first answer, byte for byte.
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
			for _, path := range []string{"/transaction/" + ended, "/account/" + euros + "/transactions", "/transaction/" + ended + "/timeline"} {
				shown := c.do("GET", path, "")
				require.Equal(t, 200, shown.status, path)
				require.NotContains(t, string(shown.body), secret, path)
			}
			require.Nil(t, c.do("GET", "/transaction/"+ended, "").json(t)["next_action"])
		}
		require.Zero(t, r.count("SELECT COUNT(*) FROM payment_events WHERE payload LIKE ?", fmt.Sprintf("%%%s%%", secret)))
		requireReplay(t, paid, c.deposit(euros, "10.00", "EUR", "Idempotency-Key", "one"))
	})
}

// TestF160_RefundsOfYenInPieces: each yen of a deposit on an account of euros goes back by a request of its own.
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
		require.Equal(t, credited, r.count("SELECT SUM(COALESCE(posted_amount, 0)) FROM transactions WHERE type = 'refund'"))
		require.Positive(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'refund' AND posted_amount IS NULL"), "one cost nothing")
		require.Equal(t, "0.00", c.do("GET", "/transaction/"+r.column("SELECT id FROM transactions WHERE type = 'refund' AND posted_amount IS NULL")[0], "").text(t, "posted_amount"))
		c.refund(id, `{"amount":"1"}`).refused(t, 409, "not_refundable")
	})
}
