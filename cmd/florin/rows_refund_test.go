package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF67_RefundThatWeStartHoldsThenDebits(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, other := r.user(), r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		other.refund(id, `{}`).refused(t, 404, "not_found")
		c.refund(id, `{"amount":"100.01"}`).refused(t, 422, "refund_exceeds_payment")
		c.refund(id, `{"amount":"0"}`).refused(t, 422, "invalid_amount")
		c.refund(id, `{"amount":"1.001"}`).refused(t, 422, "too_many_decimals")

		dry := c.do("POST", "/transaction/"+id+"/refund?dry_run=true", `{"amount":"30.00"}`)
		require.Equal(t, 200, dry.status, "%s", dry.body)
		require.Empty(t, r.followers(id))

		asked := c.refund(id, `{"amount":"30.00"}`, "Idempotency-Key", "refund-1")
		require.Equal(t, 202, asked.status, "%s", asked.body)
		follow := asked.text(t, "id")
		require.Equal(t, "/transaction/"+follow+"/status", asked.header.Get("Location"))
		require.Equal(t, "refund out pending "+id, asked.text(t, "type")+" "+asked.text(t, "direction")+" "+asked.text(t, "status")+" "+asked.text(t, "linked_transaction_id"))
		require.Equal(t, "100.00 30.00 70.00", c.balance(euros))
		again := c.refund(id, `{"amount":"30.00"}`, "Idempotency-Key", "refund-1")
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, follow, again.text(t, "id"))
		c.refund(id, `{"amount":"31.00"}`, "Idempotency-Key", "refund-1").refused(t, 422, "idempotency_key_reused")
		c.refund(id, `{"amount":"70.01"}`).refused(t, 422, "refund_exceeds_payment")

		refund := r.atBank(payment).Refunds[0].ID
		require.Equal(t, refund, asked.text(t, "payment_id"))
		r.done("/refunds/"+refund+"/complete", "")
		c.await(follow, "completed")
		require.Equal(t, "70.00 0.00 70.00", c.balance(euros))
		atOnce(64, func(i int) {
			assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_ours_", i%8), part("payment.refunded", payment, id, "refund_id", refund, 3000, "EUR")))
		})
		require.Equal(t, []string{"refund completed 3000 3000"}, r.followers(id))

		rest := c.refund(id, "")
		require.Equal(t, 202, rest.status, "%s", rest.body)
		require.Equal(t, "70.00", rest.text(t, "amount"))
		r.done("/refunds/"+rest.text(t, "payment_id")+"/fail", "")
		c.await(rest.text(t, "id"), "failed")
		require.Equal(t, "70.00 0.00 70.00", c.balance(euros))
		require.Equal(t, []string{"refund completed 3000 3000", "refund failed 7000 7000"}, r.followers(id))

		last := c.refund(id, `{"amount":70}`)
		r.done("/refunds/"+last.text(t, "payment_id")+"/complete", "")
		c.await(last.text(t, "id"), "completed")
		c.refund(id, `{}`).refused(t, 409, "not_refundable")
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		// A refund that was completed can still come back.
		r.done("/refunds/"+last.text(t, "payment_id")+"/fail", "")
		r.until(func() bool { return c.balance(euros) == "70.00 0.00 70.00" }, "it is given back")
	})
}

// TestF67_WebhookOfARefundBeforeItsAnswer: the refund's own id is not stored yet when its webhook comes, with our id in it and
// without.
func TestF67_WebhookOfARefundBeforeItsAnswerDebitsOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		require.NoError(t, r.app.DB.Writer().Exec("UPDATE transactions SET payment_id = 'pay_gone' WHERE id = ?", id).Error)
		asked := c.refund(id, `{"amount":"30.00"}`) // the bank knows no such payment: unknown, so the refund stays open
		require.Equal(t, 202, asked.status, "%s", asked.body)
		require.Equal(t, "", asked.text(t, "payment_id"))
		require.NoError(t, r.app.DB.Writer().Exec("UPDATE transactions SET payment_id = ? WHERE id = ?", payment, id).Error)
		r.holdWebhooks()
		require.Equal(t, 200, r.webhook("evt_other_amount", part("payment.refunded", payment, id, "refund_id", "re_other", 2000, "EUR")))
		require.Equal(t, "parked: a refund of ours is not known to the provider yet", r.inbox("evt_other_amount"))
		r.advance(11 * time.Second) // the call is repeated and answered
		c.await(asked.text(t, "id"), "pending")
		refund := r.atBank(payment).Refunds[0].ID
		require.Equal(t, 200, r.webhook("evt_same", part("payment.refunded", payment, id, "refund_id", refund, 3000, "EUR")))
		c.await(asked.text(t, "id"), "completed")
		r.until(func() bool { return len(r.followers(id)) == 2 }, "the other one is the provider's own")
		require.Equal(t, "50.00 0.00 50.00", c.balance(euros))
		r.foreign = true // the bank has made neither
		r.done("/refunds/"+refund+"/complete", "")
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, "50.00 0.00 50.00", c.balance(euros))
	})
}

func TestRefundsAtOnceNeverExceedTheDeposit(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.paid(euros, "100.00", "EUR")
		id, _ := c.paid(euros, "100.00", "EUR")
		var seen tally
		atOnce(16, func(int) { seen.add(c.refund(id, `{"amount":"30.00"}`).outcome(t)) })
		require.Equal(t, map[string]int{"202": 3, "422 refund_exceeds_payment": 13}, seen.seen)
		require.Equal(t, "200.00 90.00 110.00", c.balance(euros))
	})
}

func TestCancelWhileTheProviderAllowsIt(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, other := r.user(), r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR", "Idempotency-Key", "cancel-me")
		id := d.text(t, "id")
		other.cancel(id).refused(t, 404, "not_found")
		c.cancel(id, "Idempotency-Key", "cancel-me").refused(t, 422, "idempotency_key_reused")
		for range 2 {
			canceled := c.cancel(id)
			require.Equal(t, 200, canceled.status, "%s", canceled.body)
			require.Equal(t, "failed", canceled.text(t, "status"))
			require.Contains(t, string(canceled.body), `"code":"canceled"`)
		}
		r.quiet()
		require.Equal(t, []string{"initiated", "pending", "failed"}, r.history(id))

		paid, _ := c.paid(euros, "100.00", "EUR")
		c.cancel(paid).refused(t, 409, "not_cancelable")
		w := c.withdraw(euros, "40.00", "EUR")
		require.Equal(t, "100.00 40.00 60.00", c.balance(euros))
		require.Equal(t, 200, c.cancel(w.text(t, "id")).status)
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))

		// Paid already, and the webhook is still on its way: the cancelation learns it, books it, and says no.
		r.quiet()
		late := c.withdraw(euros, "40.00", "EUR")
		r.quiet()
		r.holdWebhooks()
		r.complete(late.text(t, "payment_id"))
		c.cancel(late.text(t, "id")).refused(t, 409, "not_cancelable")
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		require.Equal(t, "completed", c.status(late.text(t, "id")))
		r.releaseWebhooks()
	})
}
