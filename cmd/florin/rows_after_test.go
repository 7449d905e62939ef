package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF67_FullRefundIsBookedOncePerRefund(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		r.holdWebhooks()
		r.done("/payments/"+payment+"/refunds", `{}`)
		refund := r.atBank(payment).Refunds[0].ID
		body := part("payment.refunded", payment, id, "refund_id", refund, 10000, "EUR")
		atOnce(64, func(i int) { assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_refund_", i%8), body)) })
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, []string{"refund completed 10000 10000"}, r.followers(id))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Zero(t, r.owed(euros))
		require.Equal(t, "completed", c.status(id))

		list := c.do("GET", "/account/"+euros+"/transactions?type=refund", "")
		require.Contains(t, string(list.body), `"linked_transaction_id":"`+id+`"`)
		require.Contains(t, string(list.body), `"direction":"out"`)
		require.Contains(t, string(list.body), `"payment_id":"`+refund+`"`)
		follow := r.column("SELECT id FROM transactions WHERE linked_transaction_id = ?", id)[0]
		require.Equal(t, []string{"initiated", "completed"}, r.history(follow), "its owner is told")
		require.Contains(t, string(c.do("GET", "/transaction/"+id+"/timeline", "").body), "followed by refund of 100.00 EUR")
		require.Contains(t, string(c.do("GET", "/transaction/"+follow+"/timeline", "").body), "follows deposit of 100.00 EUR")
	})
}

// TestF67_WhatTheBalanceDoesNotCoverIsOwed: a debt blocks what would leave the account, and each credit settles it first.
func TestF67_WhatTheBalanceDoesNotCoverIsOwed(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		require.Equal(t, 200, c.transfer(euros, other, "80.00", "EUR").status)
		r.done("/payments/"+payment+"/refunds", `{}`)
		r.until(func() bool { return r.owed(euros) == 8000 }, "the rest is owed")
		r.quiet()
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, []string{"refund completed 10000 10000"}, r.followers(id))
		require.EqualValues(t, 1, r.alerts("receivable"))
		require.Equal(t, []string{"receivable"}, r.column("SELECT kind FROM reviews"))
		c.withdraw(euros, "1.00", "EUR").refused(t, 422, "account_in_debt")
		c.transfer(euros, other, "1.00", "EUR").refused(t, 422, "account_in_debt")
		c.do("POST", "/account/"+euros+"/close", "{}").refused(t, 409, "account_not_empty")

		require.Equal(t, 200, c.transfer(other, euros, "30.00", "EUR").status)
		require.EqualValues(t, 5000, r.owed(euros))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, "50.00 0.00 50.00", c.balance(other))
		c.paid(euros, "60.00", "EUR")
		require.Zero(t, r.owed(euros))
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))
		require.Equal(t, 202, c.withdraw(euros, "10.00", "EUR").status)
	})
}

func TestF68_PartialRefundsAreBookedEachOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		dollars := c.open("USD")
		id, payment := c.paid(dollars, "33.33", "EUR") // converted
		posted := r.count("SELECT posted_amount FROM transactions WHERE id = ?", id)
		for _, minor := range []int{1, 1111, 7, 2214} {
			r.done("/payments/"+payment+"/refunds", fmt.Sprintf(`{"amount":%d}`, minor))
		}
		r.until(func() bool { return len(r.followers(id)) == 4 }, "four refunds")
		r.quiet()
		require.Equal(t, "0.00 0.00 0.00", c.balance(dollars), "all of it is exactly what was posted")
		require.Equal(t, posted, r.count("SELECT SUM(posted_amount) FROM transactions WHERE type = 'refund' AND linked_transaction_id = ?", id))
		for _, refund := range r.atBank(payment).Refunds {
			require.Equal(t, 200, r.webhook("evt_again_"+refund.ID, part("payment.refunded", payment, id, "refund_id", refund.ID, refund.Amount, "EUR")))
		}
		require.Len(t, r.followers(id), 4)
		r.foreign = true
		require.Equal(t, 200, r.webhook("evt_more", part("payment.refunded", payment, id, "refund_id", "re_more", 1, "EUR")))
		require.Equal(t, "processed: refund", r.inbox("evt_more"))
		require.EqualValues(t, 2, r.owed(dollars),
			"F147: a cent that no payment has brought is owed, rounded against the holder")
	})
}

func TestF69_RefundThatFailsLaterGivesTheMoneyBack(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.depositWith("refund_fails", euros, "100.00", "EUR")
		id := d.text(t, "id")
		r.complete(d.text(t, "payment_id"))
		r.until(func() bool { return len(r.followers(id)) == 2 }, "refunded and given back")
		r.quiet()
		require.Equal(t, []string{"refund completed 10000 10000", "refund_reversal completed 10000 10000"}, r.followers(id))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		refund := r.atBank(d.text(t, "payment_id")).Refunds[0].ID
		atOnce(64, func(i int) {
			assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_failed_", i), part("refund.failed", d.text(t, "payment_id"), id, "refund_id", refund, 10000, "EUR")))
		})
		require.Len(t, r.followers(id), 2)
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
	})
}

func TestF70_DisputeTakesTheMoneyOnceAndAlerts(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		require.Equal(t, 200, r.webhook("evt_inquiry", part("payment.inquiry", payment, id, "dispute_id", "dp_0", 10000, "EUR")))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros), "an inquiry moves nothing")
		r.holdWebhooks()
		r.done("/payments/"+payment+"/disputes", `{"amount":6000}`)
		dispute := r.atBank(payment).Disputes[0].ID
		atOnce(64, func(i int) {
			assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_disputed_", i%4), part("payment.disputed", payment, id, "dispute_id", dispute, 6000, "EUR")))
		})
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, []string{"chargeback completed 6000 6000"}, r.followers(id))
		require.Equal(t, "40.00 0.00 40.00", c.balance(euros))
		require.EqualValues(t, 1, r.alerts("dispute"))
	})
}

func TestF71_DisputeWonIsReversedExactlyOnceAndLostMovesNothingMore(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		dollars, other := c.open("USD"), c.open("USD")
		won := c.depositWith("dispute_won", dollars, "100.00", "EUR")
		r.complete(won.text(t, "payment_id"))
		r.until(func() bool { return len(r.followers(won.text(t, "id"))) == 2 }, "disputed and won")
		r.quiet()
		posted := r.count("SELECT posted_amount FROM transactions WHERE id = ?", won.text(t, "id"))
		require.Equal(t, []string{fmt.Sprintf("chargeback completed 10000 %d", posted), fmt.Sprintf("chargeback_reversal completed 10000 %d", posted)},
			r.followers(won.text(t, "id")))
		require.Equal(t, posted, r.count("SELECT posted FROM accounts WHERE id = ?", dollars))
		dispute := r.atBank(won.text(t, "payment_id")).Disputes[0].ID
		atOnce(16, func(i int) {
			assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_won_", i), part("payment.dispute_won", won.text(t, "payment_id"), won.text(t, "id"), "dispute_id", dispute, 10000, "EUR")))
		})
		require.Equal(t, posted, r.count("SELECT posted FROM accounts WHERE id = ?", dollars))

		// Spent meanwhile: the debt is settled by the reversal first, and the rest is credited.
		require.Equal(t, 200, c.transfer(dollars, other, "50.00", "USD").status)
		r.done("/payments/"+won.text(t, "payment_id")+"/disputes", `{}`)
		r.until(func() bool { return r.owed(dollars) == 5000 }, "half of it is owed")
		again := r.atBank(won.text(t, "payment_id")).Disputes[1].ID
		r.done("/disputes/"+again+"/won", "")
		r.until(func() bool { return r.owed(dollars) == 0 }, "the debt is settled")
		require.Equal(t, posted-5000, r.count("SELECT posted FROM accounts WHERE id = ?", dollars))

		lost := c.depositWith("dispute_lost", other, "10.00", "USD")
		r.complete(lost.text(t, "payment_id"))
		r.until(func() bool { return len(r.followers(lost.text(t, "id"))) == 1 }, "disputed")
		r.quiet()
		require.Equal(t, []string{"chargeback completed 1000 1000"}, r.followers(lost.text(t, "id")))
		require.Equal(t, "50.00 0.00 50.00", c.balance(other))
	})
}

func TestF72_RefundBeforeCompletedWaitsForIt(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		id, payment := d.text(t, "id"), d.text(t, "payment_id")
		r.quiet()
		r.holdWebhooks()
		r.complete(payment)
		r.done("/payments/"+payment+"/refunds", `{}`)
		refund := r.atBank(payment).Refunds[0].ID
		require.Equal(t, 200, r.webhook("evt_refund_first", part("payment.refunded", payment, id, "refund_id", refund, 10000, "EUR")))
		require.Equal(t, "parked: the payment is not completed yet", r.inbox("evt_refund_first"))
		require.Empty(t, r.followers(id))
		require.Equal(t, 200, r.webhook("evt_completed", event("payment.completed", payment, id, 10000, "EUR")))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.advance(2 * time.Second)
		r.until(func() bool { return len(r.followers(id)) == 1 }, "the refund is applied")
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, "processed: refund", r.inbox("evt_refund_first"))
		r.releaseWebhooks()
		r.quiet()
		require.Equal(t, []string{"refund completed 10000 10000"}, r.followers(id))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
	})
}

func TestF73_TakenAboveCapturedIsOwedAndOfNothingIsQuarantined(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		w, payout := c.sent(euros, "40.00", "EUR")
		for name, body := range map[string]string{
			"unknown":  part("payment.refunded", "pay_unknown", uuid.NewString(), "refund_id", "re_unknown", 100, "EUR"),
			"payout":   part("payment.refunded", payout, w, "refund_id", "re_payout", 100, "EUR"),
			"currency": part("payment.refunded", payment, id, "refund_id", "re_currency", 100, "USD"),
			"nameless": event("payment.refunded", payment, id, 100, "EUR"),
		} {
			before := strings.Count(r.metrics(), "florin_alerts_total")
			require.Equal(t, 200, r.webhook("evt_"+name, body), name)
			require.True(t, strings.HasPrefix(r.inbox("evt_"+name), "quarantined: "), name+" "+r.inbox("evt_"+name))
			require.GreaterOrEqual(t, strings.Count(r.metrics(), "florin_alerts_total"), before, name)
		}
		require.EqualValues(t, 4, r.count("SELECT COUNT(*) FROM reviews"))
		require.EqualValues(t, 1, r.alerts("unknown_payment"))
		require.Empty(t, r.followers(id))
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))

		require.Equal(t, 200, r.webhook("evt_above", part("payment.refunded", payment, id,
			"refund_id", "re_above", 10001, "EUR")))
		require.Equal(t, "processed: refund", r.inbox("evt_above"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.EqualValues(t, 4001, r.owed(euros),
			"40.00 are spent, and a cent is more than was paid")
		require.EqualValues(t, 1, r.alerts("refund_above_captured"))
		require.Equal(t, 200, r.webhook("evt_disputed", part("payment.disputed", payment, id,
			"dispute_id", "dp_above", 10001, "EUR")))
		require.EqualValues(t, 4001+10001, r.owed(euros))
		require.EqualValues(t, 1, r.alerts("dispute_above_captured"))
		require.EqualValues(t, 3,
			r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'receivable'"),
			"each of which has an outcome that books")
	})
}
