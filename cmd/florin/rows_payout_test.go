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

func TestF79_PayoutThatComesBackIsCreditedOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.paid(euros, "100.00", "EUR")
		for scenario, want := range map[string]string{"return": "100.00 0.00 100.00", "paid_then_failed": "100.00 0.00 100.00"} {
			w := c.payoutWith(scenario, euros, "40.00", "EUR")
			id, payment := w.text(t, "id"), w.text(t, "payment_id")
			r.complete(payment)
			r.until(func() bool { return len(r.followers(id)) == 1 }, "%s: it is credited", scenario)
			r.quiet()
			require.Equal(t, []string{"payout_return completed 4000 4000"}, r.followers(id))
			require.Equal(t, "completed", c.status(id))
			require.Equal(t, want, c.balance(euros))
			atOnce(64, func(i int) {
				assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_returned_", scenario, i%8), event("payout.returned", payment, id, 4000, "EUR")))
			})
			require.Equal(t, want, c.balance(euros))
			require.Len(t, r.followers(id), 1)
		}
	})
}

func TestF79_ReturnBeforePaidWaitsForIt(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		dollars := c.open("USD")
		c.paid(dollars, "100.00", "USD")
		w := c.withdraw(dollars, "33.33", "EUR") // converted, up
		id, payment := w.text(t, "id"), w.text(t, "payment_id")
		r.quiet()
		r.holdWebhooks()
		r.complete(payment)
		r.done("/payments/"+payment+"/return", "")
		require.Equal(t, 200, r.webhook("evt_first", event("payout.returned", payment, id, 3333, "EUR")))
		require.Equal(t, "parked: the payment is not completed yet", r.inbox("evt_first"))
		require.Equal(t, 200, r.webhook("evt_second", event("payment.completed", payment, id, 3333, "EUR")))
		r.advance(2 * time.Second)
		r.until(func() bool { return len(r.followers(id)) == 1 }, "it is credited")
		require.Equal(t, "100.00 0.00 100.00", c.balance(dollars), "exactly what was debited")
		r.releaseWebhooks()
	})
}

// TestF79_F81_ReturnWaitsForAPayoutThatHadFailedHere: the bank fails a payout, makes it all the same, and a part comes back; the last of
// it is told first.
func TestF79_F81_ReturnWaitsForAPayoutThatHadFailedHere(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.paid(euros, "100.00", "EUR")
		w := c.withdraw(euros, "80.00", "EUR")
		id, payment := w.text(t, "id"), w.text(t, "payment_id")
		r.fail(payment)
		c.await(id, "failed")
		r.quiet()
		r.holdWebhooks()
		r.done("/payments/"+payment+"/complete", `{"force":true}`)
		r.done("/payments/"+payment+"/return", `{"amount":3000}`)
		require.Equal(t, 200, r.webhook("evt_first", event("payout.returned", payment, id, 3000, "EUR")))
		require.Equal(t, "parked: the payment is not completed yet", r.inbox("evt_first"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, 200, r.webhook("evt_second", event("payment.completed", payment, id, 8000, "EUR")))
		r.until(func() bool {
			r.advance(time.Second)
			return len(r.followers(id)) == 1
		}, "it is credited")
		require.Equal(t, "completed", r.statusIn(id))
		require.EqualValues(t, 50_00, r.posted(euros))
		r.releaseWebhooks()
	})
}

func TestF41_FailedAfterCompletedIsAskedAbout(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		require.Equal(t, 200, r.webhook("evt_failed", event("payment.failed", payment, id, 10000, "EUR")))
		r.until(func() bool { return strings.HasPrefix(r.inbox("evt_failed"), "quarantined: ") }, "the bank does not stand by it")
		r.until(func() bool { return r.alerts("failed_after_completed") == 1 }, "it is an alert")
		require.Equal(t, "completed", c.status(id))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Empty(t, r.followers(id))

		d := c.depositWith("paid_then_failed", euros, "50.00", "EUR")
		r.complete(d.text(t, "payment_id"))
		r.until(func() bool { return len(r.followers(d.text(t, "id"))) == 1 }, "what the bank took back is booked")
		require.Equal(t, []string{"correction completed 5000 5000"}, r.followers(d.text(t, "id")))
		require.Equal(t, "completed", c.status(d.text(t, "id")))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
	})
}

func TestF81_PayoutMadeAfterItsHoldWasReleasedIsDebited(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, other := c.open("EUR"), c.open("EUR")
		c.paid(euros, "100.00", "EUR")
		w := c.withdraw(euros, "80.00", "EUR")
		id, payment := w.text(t, "id"), w.text(t, "payment_id")
		r.fail(payment)
		c.await(id, "failed")
		require.Equal(t, 200, c.transfer(euros, other, "70.00", "EUR").status)
		r.done("/payments/"+payment+"/complete", `{"force":true}`)
		c.await(id, "completed")
		r.quiet()
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.EqualValues(t, 5000, r.owed(euros))
		require.EqualValues(t, 1, r.alerts("paid_after_failed"))
		require.Equal(t, []string{"initiated", "pending", "failed", "completed"}, r.history(id))
		c.withdraw(euros, "1.00", "EUR").refused(t, 422, "account_in_debt")
	})
}

func TestF82_PayoutOfAnotherAmountIsBookedAsSentAndReviewed(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		_, payment := c.paid(euros, "100.00", "EUR")
		w := c.payoutWith("wrong_amount", euros, "40.00", "EUR")
		id := w.text(t, "id")
		r.complete(w.text(t, "payment_id"))
		c.await(id, "completed")
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		require.Equal(t, []string{" -4000", "payout_clearing:mock 4100", "suspense -100"}, r.column(`SELECT COALESCE(a.code, '') || ' ' || e.amount
			FROM entries e JOIN accounts a ON a.id = e.account_id WHERE e.transaction_id = ? ORDER BY 1`, id))
		require.Equal(t, []string{"payout_differs"}, r.column("SELECT kind FROM reviews WHERE transaction_id = ?", id))

		r.done("/payments/"+payment+"/fee", `{"amount":30}`)
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM transactions WHERE type = 'fee'") == 1 }, "the fee is ours")
		r.quiet()
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		require.Equal(t, []string{"fees -30", "provider_clearing:mock 30"}, r.column(`SELECT a.code || ' ' || e.amount
			FROM entries e JOIN accounts a ON a.id = e.account_id JOIN transactions t ON t.id = e.transaction_id WHERE t.type = 'fee' ORDER BY 1`))
	})
}

func TestF44F45_LessAndMoreThanAsked(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		less := c.depositWith("partial_capture", euros, "100.00", "EUR")
		r.complete(less.text(t, "payment_id"))
		c.await(less.text(t, "id"), "completed")
		more := c.depositWith("wrong_amount", euros, "100.00", "EUR")
		r.complete(more.text(t, "payment_id"))
		c.await(more.text(t, "id"), "completed")
		r.quiet()
		require.Equal(t, "150.00 0.00 150.00", c.balance(euros))
		require.Equal(t, "50.00", c.do("GET", "/transaction/"+less.text(t, "id"), "").text(t, "received_amount"))
		require.Equal(t, "101.00", c.do("GET", "/transaction/"+more.text(t, "id"), "").text(t, "received_amount"))
		require.Equal(t, []string{"unmatched completed 100 100"}, r.followers(more.text(t, "id")))
		require.EqualValues(t, 1, r.alerts("surplus"))
		c.refund(less.text(t, "id"), `{"amount":"50.01"}`).refused(t, 422, "refund_exceeds_payment")
	})
}

func TestF37_OtherBodyUnderAKnownEventIsPutAside(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		require.Equal(t, 200, r.webhook("evt_once", event("payment.completed", payment, id, 10000, "EUR")))
		for range 3 {
			require.Equal(t, 200, r.webhook("evt_once", event("payment.completed", payment, id, 99999, "EUR")))
		}
		apart := "SELECT COUNT(*) FROM inbox WHERE event_id LIKE 'evt_once#%' AND status = 'quarantined'"
		r.until(func() bool { return r.count(apart) == 1 }, "the other body is put aside")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'webhook_conflict'"))
		require.Positive(t, r.alerts("webhook_conflict"))
	})
}

func TestF66_EventThatNamesAnotherAccountIsQuarantined(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		body := strings.Replace(event("payment.completed", d.text(t, "payment_id"), d.text(t, "id"), 10000, "EUR"), `"amount"`,
			fmt.Sprintf(`"account_id":%q,"amount"`, uuid.NewString()), 1)
		require.Equal(t, 200, r.webhook("evt_elsewhere", body))
		require.Equal(t, "quarantined: the event names another account than our row", r.inbox("evt_elsewhere"))
		require.EqualValues(t, 1, r.alerts("foreign_account"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
	})
}

func TestF124_SecondCaptureIsUnmatched(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		c := r.user()
		euros := c.open("EUR")
		id, _ := c.paid(euros, "100.00", "EUR")
		body := event("payment.completed", "pay_second", id, 10000, "EUR")
		atOnce(16, func(i int) { assert.Equal(t, 200, r.webhook(fmt.Sprint("evt_second_", i), body)) })
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"unmatched completed 10000 10000"}, r.followers(id))
		require.EqualValues(t, 1, r.alerts("second_capture"))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM reviews"))
		// Given back, it is taken from where it waits and not from who was credited once. What is
		// taken beyond it is owed.
		require.Equal(t, 200, r.webhook("evt_back", part("payment.refunded", "pay_second", id, "refund_id", "re_second", 10000, "EUR")))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.Zero(t, r.owed(euros))
		require.Equal(t, 200, r.webhook("evt_disputed", part("payment.disputed", "pay_second", id, "dispute_id", "dp_second", 10000, "EUR")))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.EqualValues(t, 10000, r.owed(euros))
		require.EqualValues(t, 1, r.alerts("dispute_above_captured"))
		require.Equal(t, 200, r.webhook("evt_third", part("payment.refunded", "pay_third", id,
			"refund_id", "re_third", 10000, "EUR")))
		require.EqualValues(t, 1, r.alerts("refund_of_nothing"), "a payment that never came")
	})
}
