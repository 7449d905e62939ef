package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF74_OfTwoWithdrawalsThatAreNotBothCoveredOneIsAccepted(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		var seen tally
		atOnce(2, func(int) { seen.add(c.withdraw(euros, "60.00", "EUR").outcome(t)) })
		require.Equal(t, map[string]int{"202": 1, "422 insufficient_funds": 1}, seen.seen)
		require.Equal(t, "100.00 60.00 40.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'withdraw'"))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM holds"))
	})
}

func TestF76_WithdrawalOfUnknownOutcomeKeepsItsHoldAndItsKey(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		r.quiet()
		r.holdWebhooks()
		w := c.payoutWith("timeout_but_charged", euros, "40.00", "EUR")
		require.Equal(t, 202, w.status, "%s", w.body)
		id := w.text(t, "id")
		require.Equal(t, "initiated", w.text(t, "status"))
		calls := "SELECT outcome FROM provider_calls WHERE transaction_id = ? ORDER BY started_at"
		r.until(func() bool { return len(r.column(calls, id)) == 1 }, "the call is given up")
		require.Equal(t, "initiated", c.status(id))
		require.Equal(t, "100.00 40.00 60.00", c.balance(euros))
		c.withdraw(euros, "60.01", "EUR").refused(t, 422, "insufficient_funds")

		r.advance(11 * time.Second)
		c.await(id, "pending")
		require.Equal(t, []string{"unknown", "payment.pending"}, r.column(calls, id))
		payouts := r.bankPayments(id)
		require.Len(t, payouts, 1, "the bank was asked twice under one key")
		require.Equal(t, "100.00 40.00 60.00", c.balance(euros))

		r.releaseWebhooks()
		r.complete(payouts[0])
		c.await(id, "completed")
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
	}, impatient)
}

func TestF77_RefusedPayoutGivesTheHoldBack(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		ended := "SELECT status || ' ' || captured || ' ' || released FROM holds WHERE transaction_id = ?"

		refused := c.payoutWith("decline", euros, "40.00", "EUR")
		require.Equal(t, 200, refused.status, "%s", refused.body)
		id := refused.text(t, "id")
		require.Equal(t, "failed", refused.text(t, "status"))
		require.Contains(t, string(refused.body), `"code":"declined"`)
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "failed"}, r.history(id))
		require.Equal(t, []string{"ended 0 4000"}, r.column(ended, id))
		require.Empty(t, r.bankPayments(id))

		later := c.withdraw(euros, "40.00", "EUR")
		require.Equal(t, 202, later.status, "%s", later.body)
		id = later.text(t, "id")
		require.Equal(t, "100.00 40.00 60.00", c.balance(euros))
		r.fail(later.text(t, "payment_id"))
		c.await(id, "failed")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.quiet()
		require.Equal(t, 200, r.webhook("evt_failed_again", event("payment.failed", later.text(t, "payment_id"), id, 4000, "EUR")))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "failed"}, r.history(id))
		require.Equal(t, []string{"ended 0 4000"}, r.column(ended, id))
		require.Zero(t, r.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", id))
	})
}

func TestF78_PaidOutTurnsTheHoldIntoEntriesOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		w := c.payoutWith("duplicate", euros, "40.00", "EUR")
		require.Equal(t, 202, w.status, "%s", w.body)
		id := w.text(t, "id")
		require.Equal(t, "100.00 40.00 60.00", c.balance(euros))
		r.complete(w.text(t, "payment_id"))
		r.quiet()
		require.Equal(t, 200, r.webhook("evt_paid_again", event("payment.completed", w.text(t, "payment_id"), id, 4000, "EUR")))
		require.Equal(t, "processed: effect already applied", r.inbox("evt_paid_again"), "and is nobody's concern")
		require.Equal(t, "completed", c.status(id))
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
		require.Equal(t, []string{"-4000", "4000"}, r.column("SELECT CAST(amount AS text) FROM entries WHERE transaction_id = ? ORDER BY amount", id))
		require.Equal(t, []string{"ended 4000 0"}, r.column("SELECT status || ' ' || captured || ' ' || released FROM holds WHERE transaction_id = ?", id))
	})
}

func TestF86_AccountWithMoneyHoldsOrOpenPaymentsIsNotClosed(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		closing := func() answer { return c.do("POST", "/account/"+euros+"/close", "{}") }

		d := c.deposit(euros, "100.00", "EUR")
		closing().refused(t, 409, "payments_open")
		r.complete(d.text(t, "payment_id"))
		c.await(d.text(t, "id"), "completed")
		closing().refused(t, 409, "account_not_empty")

		w := c.withdraw(euros, "100.00", "EUR")
		closing().refused(t, 409, "payments_open")
		require.Equal(t, "100.00 100.00 0.00", c.balance(euros))
		r.complete(w.text(t, "payment_id"))
		c.await(w.text(t, "id"), "completed")

		closed := closing()
		require.Equal(t, 200, closed.status, "%s", closed.body)
		assert.Equal(t, "closed", closed.text(t, "status"))
		c.deposit(euros, "1.00", "EUR").refused(t, 422, "account_closed")
		c.withdraw(euros, "1.00", "EUR").refused(t, 422, "account_closed")
		c.transfer(euros, other, "1.00", "EUR").refused(t, 422, "account_closed")
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM audit WHERE action = 'account.close'"))
	})
}
