package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestF23_DepositWhoseCallTimesOutStaysOpenUnderItsKey: the bank compares the repeat with the first call, key and bytes,
// so that it has one payment proves that both were the same.
func TestF23_DepositWhoseCallTimesOutStaysOpenUnderItsKey(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		r.holdWebhooks()
		d := c.depositWith("timeout_but_charged", euros, "100.00", "EUR", "Idempotency-Key", "once")
		require.Equal(t, 202, d.status, "%s", d.body)
		id := d.text(t, "id")
		require.Equal(t, "initiated", d.text(t, "status"))
		require.Empty(t, d.text(t, "payment_id"))
		require.Equal(t, "/transaction/"+id+"/status", d.header.Get("Location"))

		again := c.depositWith("timeout_but_charged", euros, "100.00", "EUR", "Idempotency-Key", "once")
		require.Equal(t, 202, again.status, "%s", again.body)
		require.Equal(t, string(d.body), string(again.body))

		calls := "SELECT outcome FROM provider_calls WHERE transaction_id = ? ORDER BY started_at"
		r.until(func() bool { return len(r.column(calls, id)) == 1 }, "the call is given up")
		require.Equal(t, []string{"unknown"}, r.column(calls, id))
		require.Equal(t, "initiated", c.status(id))

		r.advance(11 * time.Second)
		c.await(id, "pending")
		require.Equal(t, []string{"unknown", "payment.pending"}, r.column(calls, id))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		payments := r.bankPayments(id)
		require.Len(t, payments, 1)

		r.releaseWebhooks()
		r.complete(payments[0])
		c.await(id, "completed")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
	}, impatient)
}

func TestF25_DepositIsFailedInTheAnswerByADefiniteRefusal(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		for scenario, code := range map[string]string{"decline": "declined", "no such scenario": "invalid"} {
			d := c.depositWith(scenario, euros, "100.00", "EUR", "Idempotency-Key", scenario)
			require.Equal(t, 200, d.status, "%s", d.body)
			id := d.text(t, "id")
			assert.Equal(t, "failed", d.text(t, "status"))
			failure, ok := d.json(t)["failure"].(map[string]any)
			require.True(t, ok, "%s", d.body)
			assert.Equal(t, code, failure["code"])
			assert.Equal(t, []string{"initiated", "failed"}, r.history(id))
			assert.Empty(t, r.bankPayments(id))
			assert.Equal(t, "0.00 0.00 0.00", c.balance(euros))
			assert.Zero(t, r.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", id))

			again := c.depositWith(scenario, euros, "100.00", "EUR", "Idempotency-Key", scenario)
			assert.Equal(t, string(d.body), string(again.body), "the same key pays for nothing new")
		}
	})
}

func TestF34_WebhooksBeforeTheAnswerCompleteOnceAndStay(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		// The bank answers the call only after we took payment.pending and payment.completed.
		d := c.depositWith("early", euros, "100.00", "EUR")
		require.Equal(t, 200, d.status, "%s", d.body)
		id := d.text(t, "id")
		require.Equal(t, "completed", d.text(t, "status"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))

		calls := "SELECT COUNT(*) FROM provider_calls WHERE transaction_id = ?"
		r.until(func() bool { return r.count(calls, id) == 1 }, "the answer is stored")
		require.Equal(t, "completed", c.status(id), "the late answer pulls nothing back")
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
		require.Equal(t, r.bankPayments(id), []string{c.do("GET", "/transaction/"+id, "").text(t, "payment_id")})
		require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", id))
	})
}
