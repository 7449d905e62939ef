package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/service/reconcile"
)

// reconciles does what is due.
func (r *rig) reconciles() {
	r.t.Helper()
	_, err := r.app.Reconciler.RunOnce(r.t.Context())
	require.NoError(r.t, err)
}

// looked waits until the program's own look at its start is over, which has the lease meanwhile.
func (r *rig) looked() {
	r.t.Helper()
	r.until(func() bool {
		return r.count("SELECT COUNT(*) FROM leases WHERE name = 'reconcile' AND expires_at <= ?", r.app.Clock()) == 1
	}, "the look of the start is over")
}

// sweeps takes up what is due.
func (r *rig) sweeps() {
	r.t.Helper()
	_, err := r.app.Sweep.RunOnce(r.t.Context())
	require.NoError(r.t, err)
}

// losesWebhooks holds back what the bank sends until the end of the test, where the program must have everything anyway.
func (r *rig) losesWebhooks() {
	r.holdWebhooks()
	r.t.Cleanup(r.releaseWebhooks)
}

// statusIn is a transaction's status as it is stored: the clock of a test may have outrun every token.
func (r *rig) statusIn(id string) string {
	return strings.Join(r.column("SELECT status FROM transactions WHERE id = ?", id), ",")
}

// posted is an account's balance as it is stored, in minor units.
func (r *rig) posted(account string) int64 {
	return r.count("SELECT posted FROM accounts WHERE id = ?", account)
}

// TestF64_OpenPaymentsAreSettledWithoutAnyWebhook: the sweep alone, with its own intervals. The payments are old when they are paid, so
// that they are asked about as seldom as ever.
func TestF64_OpenPaymentsAreSettledWithoutAnyWebhook(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "500.00", "EUR")
		r.quiet()
		r.looked()
		r.losesWebhooks()
		deposit, payout := c.deposit(euros, "100.00", "EUR"), c.withdraw(euros, "40.00", "EUR")
		ids := []string{deposit.text(t, "id"), payout.text(t, "id")}
		for range 24 { // two hours in which they are asked about
			r.advance(5 * time.Minute)
			r.sweeps()
		}
		require.Equal(t, "pending pending", r.statusIn(ids[0])+" "+r.statusIn(ids[1]))
		r.complete(deposit.text(t, "payment_id"))
		r.fail(payout.text(t, "payment_id"))
		for range 60 {
			r.advance(5 * time.Second)
			r.sweeps()
		}
		r.until(func() bool { return r.statusIn(ids[0])+r.statusIn(ids[1]) == "completedfailed" }, "settled five minutes after they were paid")
		require.EqualValues(t, 600_00, r.posted(euros))
		require.Zero(t, r.count("SELECT held FROM accounts WHERE id = ?", euros))
		require.Zero(t, r.count("SELECT COUNT(*) FROM inbox WHERE payment_id = ? AND kind = 'payment.completed'", deposit.text(t, "payment_id")))
	}, impatient)
}

// TestF64_WhatFollowsAPaymentIsLearnedFromTheList: nobody asks about a completed payment, so what the bank does with it later is known
// from the list alone.
func TestF64_WhatFollowsAPaymentIsLearnedFromTheList(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		_, refunded := c.paid(euros, "100.00", "EUR")
		_, disputed := c.paid(euros, "50.00", "EUR")
		_, charged := c.paid(euros, "30.00", "EUR")
		sent := c.withdraw(euros, "20.00", "EUR")
		r.complete(sent.text(t, "payment_id"))
		c.await(sent.text(t, "id"), "completed")
		r.quiet()
		r.losesWebhooks()
		for path, body := range map[string]string{
			"/payments/" + refunded + "/refunds": `{"amount":1000}`, "/payments/" + disputed + "/disputes": "{}",
			"/payments/" + charged + "/fee": `{"amount":45}`, "/payments/" + sent.text(t, "payment_id") + "/return": "{}",
		} {
			require.Less(t, r.bank("POST", path, body).status, 300, path)
		}
		r.reconciles()
		require.EqualValues(t, 160_00, r.posted(euros), "young events may still come by webhook")
		for range 10 { // five minutes by the reconciler's own interval
			r.advance(30 * time.Second)
			r.reconciles()
		}
		require.EqualValues(t, 120_00, r.posted(euros), "180 less 20 and its return, less 10 refunded, less 50 disputed")
		require.Equal(t, []string{"listing", "listing", "listing", "listing"},
			r.column(`SELECT e.cause FROM payment_events e JOIN transactions t ON t.id = e.transaction_id
				WHERE t.type IN ('refund', 'chargeback', 'fee', 'payout_return') AND e.to_status = 'completed'`))
		require.InDelta(t, 4, r.metric(`florin_listed_events_total{provider="mock"}`), 0)
		events := r.count("SELECT COUNT(*) FROM inbox")
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, events, r.count("SELECT COUNT(*) FROM inbox"), "webhooks of listed events are duplicates")
		require.EqualValues(t, 120_00, r.posted(euros))
	})
}

// TestF65_EveryWayOfLearningAFactAtOnce: webhook, duplicate, sweep and list, all at once; the synchronous answer of a client's own
// cancel is among them.
func TestF65_EveryWayOfLearningAFactAtOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		r.holdWebhooks()
		const payments = 12
		ids, bodies := make([]string, payments), make([]string, payments)
		for i := range ids {
			d := c.deposit(euros, "10.00", "EUR")
			ids[i] = d.text(t, "id")
			r.complete(d.text(t, "payment_id"))
			bodies[i] = event("payment.completed", d.text(t, "payment_id"), ids[i], 1000, "EUR")
		}
		r.advance(2 * time.Minute)
		ways := []func(){r.sweeps, r.reconciles, r.releaseWebhooks, r.reconciles}
		for i := range ids {
			ways = append(ways,
				func() { assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_race_", i), bodies[i])) },
				func() { c.do("POST", "/transaction/"+ids[i]+"/cancel", "") })
		}
		var all sync.WaitGroup
		for _, way := range ways {
			all.Go(way)
		}
		all.Wait()
		for _, id := range ids {
			c.await(id, "completed")
			require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
		}
		require.Equal(t, "120.00 0.00 120.00", c.balance(euros))
		require.EqualValues(t, payments, r.count("SELECT COUNT(*) FROM effects WHERE effect = 'completed'"))
		require.EqualValues(t, 2*payments, r.count("SELECT COUNT(*) FROM entries"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))
	}, impatient)
}

// TestF51_NothingIsLostWithOurClockOff: webhooks are refused, the list is not.
func TestF51_NothingIsLostWithOurClockOff(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				c := r.user()
				euros := c.open("EUR")
				id, payment := c.paid(euros, "100.00", "EUR")
				r.quiet()
				r.looked()
				r.losesWebhooks()
				require.Equal(t, 201, r.bank("POST", "/payments/"+payment+"/refunds", `{"amount":1000}`).status)
				at := r.app.Clock()
				r.advance(off)
				body := event("payment.refunded", payment, id, 1000, "EUR")
				response, _ := r.raw("POST", "/webhook/mock", []byte(body), r.signAt("evt_off", body, at))
				require.Equal(t, 400, response.StatusCode, "the signature is of another time than ours")
				r.reconciles()
				require.EqualValues(t, 90_00, r.posted(euros))
				r.advance(-off)
			})
		})
	}
}

// TestI21_DriftIsFoundAndGone: our clearing accounts are the bank's list, what is tampered with is found once, and what is mended is
// closed.
func TestI21_DriftIsFoundAndGone(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		for _, scenario := range []string{"", "partial_capture", "wrong_amount", "wrong_currency", "refund", "dispute_won", "dispute", "fee", "paid_then_failed"} {
			d := c.depositWith(scenario, euros, "100.00", "EUR")
			r.complete(d.text(t, "payment_id"))
			r.until(func() bool { return r.count("SELECT COUNT(*) FROM effects WHERE ref = ?", d.text(t, "payment_id")) > 0 }, "%s is booked", scenario)
			r.quiet()
		}
		payout, payment := c.sent(euros, "20.00", "EUR")
		r.quiet()
		state := func() reconcile.State {
			r.advance(25 * time.Hour)
			r.reconciles()
			found, err := r.app.Reconciler.State(t.Context(), account.Page{Limit: 10})
			require.NoError(t, err)
			return found
		}
		sound := state()
		require.Empty(t, sound.Differences)
		require.EqualValues(t, 12, sound.Runs[0].Matched, "eight payments, a refund, a dispute, a fee, a payout")
		require.Zero(t, sound.Runs[0].UnderWay)

		rename := func(name string) {
			require.NoError(t, r.app.DB.Writer().Exec("UPDATE transactions SET payment_id = ? WHERE id = ?", name, payout).Error)
		}
		rename("pay_tampered")
		broken := state()
		for range 2 {
			require.Len(t, broken.Differences, 2, "one that only we have, and one that only the bank has")
			broken = state()
		}
		require.EqualValues(t, 2, r.alerts("drift"), "each is told once")
		require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'drift' AND status = 'open'"))
		require.EqualValues(t, 2, r.metric(`florin_reconciliation_differences{provider="mock"}`))
		byRef := map[string]account.Difference{}
		for _, d := range broken.Differences {
			byRef[d.Ref] = d
		}
		require.EqualValues(t, -20_00, *byRef["pay_tampered"].Ours)
		require.Nil(t, byRef["pay_tampered"].Theirs)
		require.EqualValues(t, -20_00, *byRef[payment].Theirs)
		require.Nil(t, byRef[payment].Ours)

		rename(payment)
		mended := state()
		require.Empty(t, mended.Differences)
		require.EqualValues(t, 2, mended.Runs[0].Closed)
		require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'drift' AND outcome = 'disappeared'"))
		require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM audit WHERE action = 'review.settled' AND actor = 'system'"))
		r.until(func() bool {
			return r.count("SELECT COUNT(*) FROM transactions WHERE next_attempt_at < ?", r.app.Clock()) == 0
		}, "the deposit that other money came for is asked about")
	})
}

// TestI21_WhatIsUnderWayIsNoDrift: what the bank has just moved is on its way to us.
func TestI21_WhatIsUnderWayIsNoDrift(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.looked()
		r.advance(25 * time.Hour)
		r.holdWebhooks()
		c := r.user()
		d := c.deposit(c.open("EUR"), "100.00", "EUR")
		r.complete(d.text(t, "payment_id"))
		r.reconciles()
		found, err := r.app.Reconciler.State(t.Context(), account.Page{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, found.Differences)
		require.EqualValues(t, 1, found.Runs[0].UnderWay)
		r.releaseWebhooks()
	})
}
