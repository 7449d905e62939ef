package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMoneyInAcrossAndOut is the main story: a deposit by signed webhook, a transfer with conversion, a withdrawal.
func TestMoneyInAcrossAndOut(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, dollars := c.open("EUR"), c.open("USD")

		d := c.deposit(euros, "100.00", "EUR", "Idempotency-Key", "d-1")
		require.Equal(t, 202, d.status, "%s", d.body)
		require.Equal(t, "pending", d.text(t, "status"))
		require.Equal(t, "/transaction/"+d.text(t, "id")+"/status", d.header.Get("Location"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		r.complete(d.text(t, "payment_id"))
		done := c.do("GET", "/transaction/"+d.text(t, "id")+"/status", "", "Prefer", "wait=20")
		require.Equal(t, "completed", done.text(t, "status"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))

		x := c.transfer(euros, dollars, "50.00", "EUR")
		require.Equal(t, 200, x.status, "%s", x.body)
		assert.Equal(t, "completed", x.text(t, "status"))
		assert.Equal(t, "54.20 0.00 54.20", c.balance(dollars))

		w := c.withdraw(euros, "20.00", "EUR")
		require.Equal(t, 202, w.status, "%s", w.body)
		require.Equal(t, "50.00 20.00 30.00", c.balance(euros))
		require.NotContains(t, string(w.body), "DE8937")
		r.complete(w.text(t, "payment_id"))
		c.await(w.text(t, "id"), "completed")
		require.Equal(t, "30.00 0.00 30.00", c.balance(euros))

		timeline := c.do("GET", "/transaction/"+d.text(t, "id")+"/timeline", "")
		require.Equal(t, 200, timeline.status)
		for _, kind := range []string{"api_call", "provider_call", "webhook", "state_change", "entry"} {
			assert.Contains(t, string(timeline.body), `"`+kind+`"`)
		}
	})
}
