package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF35_EventOfAnUnknownPaymentIsParkedThreeDaysThenReviewed(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		body := event("payment.completed", "pay_unknown", uuid.NewString(), 10000, "EUR")
		require.Equal(t, 200, r.webhook("evt_unknown", body))
		require.Equal(t, "parked: unknown payment", r.inbox("evt_unknown"))

		reviews := "SELECT COUNT(*) FROM reviews WHERE kind = 'unknown_payment'"
		before := r.verdicts("parked")
		r.advance(71*time.Hour + 50*time.Minute)
		r.until(func() bool { return r.verdicts("parked") > before }, "it is looked for again, and parked again")
		require.Equal(t, "parked: unknown payment", r.inbox("evt_unknown"))
		require.Zero(t, r.count(reviews))
		require.Zero(t, r.alerts("unknown_payment"))

		r.advance(2 * time.Hour)
		r.until(func() bool { return strings.HasPrefix(r.inbox("evt_unknown"), "quarantined: ") }, "a person has to look at it")
		r.until(func() bool { return r.alerts("unknown_payment") == 1 }, "the alert is counted")
		require.EqualValues(t, 1, r.count(reviews))
		require.Zero(t, r.count("SELECT COUNT(*) FROM entries"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions"))
		require.Equal(t, 200, r.webhook("evt_unknown", body), "sent again, it is known")
		require.EqualValues(t, 1, r.count(reviews))
	})
}

// TestF35_ParkedEventIsAppliedOnceItsPaymentIsKnown: the event names the bank's payment alone, and our call that made the
// payment has not been answered yet.
func TestF35_ParkedEventIsAppliedOnceItsPaymentIsKnown(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		r.holdWebhooks()
		d := c.depositWith("timeout_but_charged", euros, "100.00", "EUR")
		id := d.text(t, "id")
		payment := r.bankPayments(id)[0]
		require.Equal(t, 200, r.webhook("evt_nameless", event("payment.completed", payment, "", 10000, "EUR")))
		require.Equal(t, "parked: unknown payment", r.inbox("evt_nameless"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))

		r.advance(11 * time.Second) // the call is repeated
		r.until(func() bool { return c.status(id) != "initiated" }, "the payment is known")
		r.advance(30 * time.Second) // the event is looked at again; whoever asks the bank hears that it is pending
		c.await(id, "completed")
		require.Equal(t, "processed: completed", r.inbox("evt_nameless"))
		require.Equal(t, []string{"webhook"}, r.column("SELECT cause FROM payment_events WHERE transaction_id = ? AND to_status = 'completed'", id))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))

		r.complete(payment)
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
	}, impatient)
}

func TestF36_SameEventAThousandTimesAtOnceAndAfterARestart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		first, second := c.deposit(euros, "100.00", "EUR"), c.deposit(euros, "100.00", "EUR")
		ids := []string{first.text(t, "id"), second.text(t, "id")}
		r.quiet()
		r.holdWebhooks() // so that ours are the first to tell
		bodies := map[string]string{}
		for name, d := range map[string]answer{"evt_in_turn": first, "evt_at_once": second} {
			r.complete(d.text(t, "payment_id"))
			bodies[name] = event("payment.completed", d.text(t, "payment_id"), d.text(t, "id"), 10000, "EUR")
		}
		atOnce(64, func(int) { assert.Equal(t, 200, r.webhook("evt_at_once", bodies["evt_at_once"])) })
		for range 1000 {
			require.Equal(t, 200, r.webhook("evt_in_turn", bodies["evt_in_turn"]))
		}
		oneOfEach := func() {
			require.Equal(t, "200.00 0.00 200.00", c.balance(euros))
			require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM inbox WHERE event_id IN ('evt_in_turn', 'evt_at_once')"))
			require.EqualValues(t, 4, r.count("SELECT COUNT(*) FROM entries"))
			for _, id := range ids {
				require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
			}
		}
		oneOfEach()
		r.restart()
		atOnce(64, func(i int) {
			name := []string{"evt_in_turn", "evt_at_once"}[i%2]
			assert.Equal(t, 200, r.webhook(name, bodies[name]))
		})
		r.quiet()
		oneOfEach()
	})
}

func TestF38_DifferentEventsOfOneFactCreditOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		id, payment := d.text(t, "id"), d.text(t, "payment_id")
		atOnce(3, func(i int) {
			assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_fact_", i), event("payment.completed", payment, id, 10000, "EUR")))
		})
		r.complete(payment) // whose webhook states the fact once more
		r.quiet()
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM effects WHERE ref = ? AND effect = 'completed'", payment))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM inbox WHERE kind = 'payment.completed' AND reason = 'completed'"))
		require.EqualValues(t, 3, r.count("SELECT COUNT(*) FROM inbox WHERE kind = 'payment.completed' AND reason = 'effect already applied'"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))
	})
}

func TestF39_PendingAfterCompletedPullsNothingBack(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.depositWith("reorder", euros, "100.00", "EUR")
		id := d.text(t, "id")
		r.complete(d.text(t, "payment_id"))
		c.await(id, "completed")
		r.quiet() // payment.pending was taken behind payment.completed
		require.Equal(t, []string{"payment.completed: completed", "payment.pending: stale"},
			r.column("SELECT kind || ': ' || reason FROM inbox WHERE transaction_id = ? ORDER BY received_at", id))
		require.Equal(t, "completed", c.status(id))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
	})
}

func TestF46_MoneyInAnotherCurrencyIsKeptApart(t *testing.T) {
	var log journal
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		id, payment := d.text(t, "id"), d.text(t, "payment_id")
		name := "evt_dollars_" + string(r.app.DB.Dialect())
		require.Equal(t, 200, r.webhook(name, event("payment.completed", payment, id, 9000, "USD")))

		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, "pending", c.status(id), "the deposit stays open")
		apart := "SELECT amount || ' ' || currency || ' ' || status FROM transactions WHERE type = 'unmatched' AND linked_transaction_id = ?"
		require.Equal(t, []string{"9000 USD completed"}, r.column(apart, id))
		require.Equal(t, []string{"provider_clearing:mock -9000 USD", "suspense 9000 USD"}, r.column(`SELECT a.code || ' ' || e.amount || ' ' || e.currency
			FROM entries e JOIN accounts a ON a.id = e.account_id ORDER BY a.code`))
		require.EqualValues(t, 1, r.count(`SELECT COUNT(*) FROM reviews v JOIN transactions u ON u.id = v.transaction_id
			WHERE v.kind = 'other_currency' AND u.linked_transaction_id = ?`, id))
		require.EqualValues(t, 1, r.alerts("other_currency"))
		require.Regexp(t, `level=ERROR msg="alert: other_currency".*event_id=`+name, log.String())

		require.Equal(t, 200, r.webhook(name, event("payment.completed", payment, id, 9000, "USD")))
		require.EqualValues(t, 1, r.alerts("other_currency"), "a repeat is no news")
		require.Len(t, r.column(apart, id), 1)
	}, func(_ *Config, o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
}

func TestF55_TypeThatMovesNothingIsStoredAsIgnored(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		r.quiet()
		before := r.verdicts("ignored")
		for i, body := range []string{
			event("payment.captured_twice_over", d.text(t, "payment_id"), d.text(t, "id"), 10000, "EUR"),
			`{"type":"customer.created","timestamp":"2026-01-01T00:00:00Z","data":{"name":"Ada"}}`,
			`{"type":"ping"}`,
		} {
			name := fmt.Sprint("evt_ignored_", i)
			require.Equal(t, 200, r.webhook(name, body))
			require.Equal(t, "ignored: type moves nothing here", r.inbox(name))
		}
		require.Equal(t, before+3, r.verdicts("ignored"))
		require.Equal(t, "pending", c.status(d.text(t, "id")))
		require.Zero(t, r.count("SELECT COUNT(*) FROM entries"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews"))
	})
}
