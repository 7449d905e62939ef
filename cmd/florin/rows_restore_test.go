package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database/databasetest"
)

// TestF105_ClockJumpsADayAndBack: what lay before a jump goes on after it, and the order is never that of the times.
func TestF105_ClockJumpsADayAndBack(t *testing.T) {
	const day = 24 * time.Hour
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, theirs := c.open("EUR"), r.user().open("EUR")
		c.fund(euros, "100.00", "EUR")
		waiting := c.deposit(euros, "10.00", "EUR")
		at := func(jump time.Duration) {
			t.Helper()
			key := "in " + r.app.Clock().Add(jump).String()
			r.advance(jump)
			c = r.again(c)
			r.sweeps()
			require.Equal(t, "pending", c.status(waiting.text(t, "id")), "not given up early")
			sent := c.transfer(euros, theirs, "1.00", "EUR", "Idempotency-Key", key)
			require.Equal(t, 200, sent.status, "%s", sent.body)
			again := c.transfer(euros, theirs, "1.00", "EUR", "Idempotency-Key", key)
			require.Equal(t, sent.text(t, "id"), again.text(t, "id"))
			c.fund(euros, "1.00", "EUR")
		}
		at(day)
		at(-2 * day)
		at(day)
		r.complete(waiting.text(t, "payment_id"))
		c.await(waiting.text(t, "id"), "completed")
		require.Equal(t, "110.00 0.00 110.00", c.balance(euros))
		require.EqualValues(t, 3_00, r.posted(theirs))
		r.quiet()
		require.Zero(t, r.count(`SELECT COUNT(*) FROM payment_events e JOIN event_batches b ON b.id = e.batch_id JOIN payment_events f
			ON f.transaction_id = e.transaction_id AND f.seq > e.seq JOIN event_batches g ON g.id = f.batch_id WHERE g.position < b.position`))
	}, func(c *Config, _ *Options) { c.PaymentDeadline = 7 * day })
}

// TestF106_OlderBackupCatchesUpWithTheProvider: what the bank has done since the backup has its effect once, what the backup does not
// know at all goes to a person, and until then clients move no money.
func TestF106_OlderBackupCatchesUpWithTheProvider(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true // a payment of the lost time is the bank's alone
		c := r.user()
		euros, theirs := c.open("EUR"), c.open("EUR")
		_, earlier := c.paid(euros, "100.00", "EUR")
		open := c.deposit(euros, "30.00", "EUR")
		payout := c.withdraw(euros, "5.00", "EUR")
		r.quiet()
		r.stop()
		backup := databasetest.Clone(t, string(r.config.DatabaseURL))
		r.start()

		r.complete(open.text(t, "payment_id"))
		r.complete(payout.text(t, "payment_id"))
		c.await(open.text(t, "id"), "completed")
		c.await(payout.text(t, "id"), "completed")
		require.Equal(t, 201, r.bank("POST", "/payments/"+earlier+"/refunds", `{"amount":2000}`).status)
		r.until(func() bool { return r.posted(euros) == 105_00 }, "the refund is booked")
		c.fund(euros, "50.00", "EUR")
		r.quiet()
		r.stop()

		r.config.DatabaseURL, r.config.Maintenance = secret(backup), true
		r.start()
		c.transfer(euros, theirs, "1.00", "EUR").refused(t, 503, "maintenance")
		c.deposit(euros, "1.00", "EUR").refused(t, 503, "maintenance")
		require.Equal(t, "100.00 5.00 95.00", c.balance(euros), "as the backup has it")
		for range 2 { // the second finds nothing new
			r.advance(2 * time.Minute)
			r.reconciles()
			r.sweeps()
			r.until(func() bool {
				return r.statusIn(open.text(t, "id"))+r.statusIn(payout.text(t, "id")) == "completedcompleted"
			}, "caught up")
			r.until(func() bool { return r.posted(euros) == 105_00 }, "each once")
		}
		assert.EqualValues(t, 1, r.count("SELECT COUNT(DISTINCT payment_id) FROM inbox WHERE status = 'parked'"), "the payment that the backup does not know")
		r.quiet()

		r.stop()
		r.config.Maintenance = false
		r.start()
		require.Equal(t, 200, c.transfer(euros, theirs, "1.00", "EUR").status)
		r.check()
		r.stop() // before the copy goes
	})
}

// again logs the user in, whose tokens another time has ended.
func (r *rig) again(c *client) *client {
	name := r.column("SELECT username FROM users WHERE id = ?", c.id)[0]
	in := &client{r: r, id: c.id}
	in.login(name)
	return in
}
