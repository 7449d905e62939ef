package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reviewOf waits for the one review of the kind and returns its id.
func (r *rig) reviewOf(kind string) string {
	r.t.Helper()
	r.until(func() bool {
		return r.count("SELECT COUNT(*) FROM reviews WHERE kind = ? AND status = 'open'", kind) == 1
	}, "one open review %s", kind)
	return r.column("SELECT id FROM reviews WHERE kind = ? AND status = 'open'", kind)[0]
}

// overpaid is a deposit of 100.00 EUR of which 101.00 came, and the review of the surplus.
func (r *rig) overpaid(c *client, account string) (deposit answer, review string) {
	r.t.Helper()
	deposit = c.depositWith("wrong_amount", account, "100.00", "EUR")
	r.complete(deposit.text(r.t, "payment_id"))
	c.await(deposit.text(r.t, "id"), "completed")
	return deposit, r.reviewOf("surplus")
}

// decision is a review as an administrator sees it: the money that waits and what can be decided.
func (r *rig) decision(boss, id string) (standing string, outcomes []any) {
	r.t.Helper()
	shown := r.administer(boss, "GET", "/admin/reviews/"+id, "")
	require.Equal(r.t, 200, shown.status, "%s", shown.body)
	body := shown.json(r.t)
	if money, ok := body["standing"].(map[string]any); ok {
		standing = fmt.Sprint(money["amount"], " ", money["currency"])
	}
	return standing, body["outcomes"].([]any)
}

// settles books a decision; account is "" for none.
func (r *rig) settles(boss, id, outcome, account string) answer {
	r.t.Helper()
	body := fmt.Sprintf(`{"outcome":%q,"reason":"the payer has written"`, outcome)
	if account != "" {
		body += fmt.Sprintf(`,"account_id":%q`, account)
	}
	return r.administer(boss, "POST", "/admin/reviews/"+id+"/settle", body+"}")
}

// systemBalance is the sum of a system account's entries in minor units.
func (r *rig) systemBalance(code, currency string) int64 {
	return r.count(`SELECT COALESCE(SUM(e.amount), 0) FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.code = ? AND e.currency = ?`, code, currency)
}

// settledOnce: a settled review has one audit row and cannot be settled again (I26).
func (r *rig) settledOnce(boss, id string) {
	r.t.Helper()
	r.settles(boss, id, "dismiss", "").refused(r.t, 409, "already_settled")
	require.EqualValues(r.t, 1, r.count(`SELECT COUNT(*) FROM audit WHERE action = 'review.settled' AND subject = ? AND reason <> '' AND ip <> ''
		AND actor <> 'system'`, id))
	require.EqualValues(r.t, 1, r.count("SELECT COUNT(*) FROM reviews WHERE id = ? AND status = 'settled' AND settled_by <> ''", id))
}

func TestF45_SurplusIsCreditedOnceByWhoeverDecides(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros, dollars := c.open("EUR"), c.open("USD")
		d, id := r.overpaid(c, euros)
		standing, outcomes := r.decision(boss, id)
		require.Equal(t, "1.00 EUR", standing)
		require.Subset(t, outcomes, []any{"credit_account", "write_off"})
		require.NotContains(t, outcomes, "dismiss", "money stands")

		r.settles(boss, id, "dismiss", "").refused(t, 422, "outcome_not_allowed")
		r.settles(boss, id, "fly", "").refused(t, 422, "outcome_not_allowed")
		r.settles(boss, id, "credit_account", "").refused(t, 422, "destination_unavailable")
		r.settles(boss, id, "credit_account", uuid.NewString()).refused(t, 422, "destination_unavailable")
		r.settles(boss, id, "credit_account", dollars).refused(t, 422, "destination_unavailable")
		r.settles(boss, id, "write_off", euros).refused(t, 422, "outcome_not_allowed")
		r.administer(boss, "POST", "/admin/reviews/"+id+"/settle", `{"outcome":"write_off","reason":" "}`).refused(t, 422, "reason_required")
		require.Equal(t, 403, r.settles(c.token, id, "credit_account", euros).status)
		require.Equal(t, 404, r.settles(boss, uuid.NewString(), "dismiss", "").status)
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))

		var answers tally
		atOnce(8, func(int) { answers.add(r.settles(boss, id, "credit_account", euros).outcome(t)) })
		require.Equal(t, map[string]int{"200": 1, "409 already_settled": 7}, answers.seen)
		require.Equal(t, "101.00 0.00 101.00", c.balance(euros))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		r.settledOnce(boss, id)

		booked := r.column("SELECT settlement_id FROM reviews WHERE id = ?", id)[0]
		shown := c.do("GET", "/transaction/"+booked, "")
		require.Equal(t, 200, shown.status, "%s", shown.body)
		for member, want := range map[string]string{"type": "correction", "direction": "in", "amount": "1.00", "status": "completed", "provider": "internal"} {
			assert.Equal(t, want, shown.text(t, member), member)
		}
		require.Equal(t, []string{"initiated", "completed"}, r.history(booked))
		require.Equal(t, []string{"review", "review"}, r.column("SELECT cause FROM payment_events WHERE transaction_id = ?", booked))
		require.Equal(t, 202, c.refund(d.text(t, "id"), `{"amount":"100.00"}`).status, "the settlement takes nothing off what can be refunded")
	})
}

// TestI22_WhatOneReviewHasSettledDoesNotStandInAnother: two reviews may be about the same money.
func TestI22_WhatOneReviewHasSettledDoesNotStandInAnother(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		_, first := r.overpaid(c, euros)
		second := uuid.NewString()
		require.NoError(t, r.app.DB.Writer().Exec(`INSERT INTO reviews (id, kind, transaction_id, detail, status, created_at)
			SELECT ?, 'late_success', transaction_id, detail, status, created_at FROM reviews WHERE id = ?`, second, first).Error)
		standing, _ := r.decision(boss, second)
		require.Equal(t, "1.00 EUR", standing)

		require.Equal(t, 200, r.settles(boss, first, "credit_account", euros).status)
		_, outcomes := r.decision(boss, second)
		require.Equal(t, []any{"dismiss"}, outcomes)
		r.settles(boss, second, "credit_account", euros).refused(t, 422, "outcome_not_allowed")
		require.Equal(t, 200, r.settles(boss, second, "dismiss", "").status)
		require.Equal(t, "101.00 0.00 101.00", c.balance(euros))
	})
}

func TestF124_SecondCaptureIsWrittenOff(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		id, _ := c.paid(euros, "100.00", "EUR")
		require.Equal(t, 200, r.webhook("evt_second", event("payment.completed", "pay_second", id, 10000, "EUR")))
		review := r.reviewOf("second_capture")
		settled := r.settles(boss, review, "write_off", "")
		require.Equal(t, 200, settled.status, "%s", settled.body)
		require.Equal(t, "write_off", settled.text(t, "outcome"))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.EqualValues(t, 100_00, r.systemBalance("fees", "EUR"), "what is nobody's is ours")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.settledOnce(boss, review)
	})
}

func TestF46_MoneyInAnotherCurrencyIsCreditedWhereItFits(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros, dollars := c.open("EUR"), c.open("USD")
		d := c.depositWith("wrong_currency", euros, "100.00", "EUR")
		r.complete(d.text(t, "payment_id"))
		review := r.reviewOf("other_currency")
		r.settles(boss, review, "credit_account", euros).refused(t, 422, "destination_unavailable")
		require.Equal(t, 200, r.settles(boss, review, "credit_account", dollars).status)
		require.Equal(t, "100.00 0.00 100.00", c.balance(dollars))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Zero(t, r.systemBalance("suspense", "USD"))
		r.settledOnce(boss, review)
	})
}

func TestF42_LateSuccessIsDismissedOrGoesToAnotherAccount(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		kept, closed := c.open("EUR"), c.open("EUR")
		for _, account := range []string{kept, closed} {
			d := c.deposit(account, "100.00", "EUR")
			r.fail(d.text(t, "payment_id"))
			c.await(d.text(t, "id"), "failed")
			if account == closed {
				require.Equal(t, 200, c.do("POST", "/account/"+closed+"/close", "{}").status)
			}
			require.Equal(t, 200, r.bank("POST", "/payments/"+d.text(t, "payment_id")+"/complete", `{"force":true}`).status)
		}
		late, apart := r.reviewOf("late_success"), r.reviewOf("late_success_closed_account")
		r.quiet()
		require.Equal(t, "100.00 0.00 100.00", c.balance(kept))
		standing, outcomes := r.decision(boss, late)
		require.Equal(t, []any{"", []any{"dismiss"}}, []any{standing, outcomes})
		require.Equal(t, 200, r.settles(boss, late, "dismiss", "").status)
		r.settledOnce(boss, late)

		r.settles(boss, apart, "credit_account", closed).refused(t, 422, "destination_unavailable")
		require.Equal(t, 200, r.settles(boss, apart, "credit_account", kept).status)
		require.Equal(t, "200.00 0.00 200.00", c.balance(kept))
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		r.settledOnce(boss, apart)
	})
}

// TestI22_WhatIsOwedIsWrittenOff: of a debt, what was not paid meanwhile.
func TestI22_WhatIsOwedIsWrittenOff(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		_, payment := c.paid(euros, "100.00", "EUR")
		c.sent(euros, "80.00", "EUR")
		require.Equal(t, 200, r.bank("POST", "/payments/"+payment+"/disputes", "{}").status)
		review := r.reviewOf("receivable")
		r.quiet()
		standing, outcomes := r.decision(boss, review)
		require.Equal(t, []any{"80.00 EUR", []any{"write_off"}}, []any{standing, outcomes})
		c.paid(euros, "30.00", "EUR") // which settles a part
		standing, _ = r.decision(boss, review)
		require.Equal(t, "50.00 EUR", standing)
		c.withdraw(euros, "1.00", "EUR").refused(t, 422, "account_in_debt")

		require.Equal(t, 200, r.settles(boss, review, "write_off", "").status)
		require.Zero(t, r.systemBalance("receivable", "EUR"))
		require.EqualValues(t, -50_00, r.systemBalance("fees", "EUR"), "it is ours to bear")
		require.Zero(t, r.count("SELECT receivable FROM accounts WHERE id = ?", euros))
		r.settledOnce(boss, review)
		c.paid(euros, "10.00", "EUR")
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))
		require.Equal(t, 202, c.withdraw(euros, "1.00", "EUR").status)
	})
}

// TestI22_PayoutThatDiffersIsWrittenOff: more was paid than was sent, which is lost.
func TestI22_PayoutThatDiffersIsWrittenOff(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		c.paid(euros, "100.00", "EUR")
		sent := c.payoutWith("wrong_amount", euros, "40.00", "EUR")
		r.complete(sent.text(t, "payment_id"))
		review := r.reviewOf("payout_differs")
		standing, outcomes := r.decision(boss, review)
		require.Equal(t, []any{"-1.00 EUR", []any{"write_off"}}, []any{standing, outcomes})
		require.Equal(t, 200, r.settles(boss, review, "write_off", "").status)
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.EqualValues(t, -1_00, r.systemBalance("fees", "EUR"))
		require.Equal(t, "60.00 0.00 60.00", c.balance(euros))
		r.settledOnce(boss, review)
	})
}

// TestF128_ReviewsAndReconciliationByCommand: beside a running server, over the database alone.
func TestF128_ReviewsAndReconciliationByCommand(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.depositWith("wrong_amount", euros, "100.00", "EUR")
		r.complete(d.text(t, "payment_id"))
		id := r.reviewOf("surplus")
		environ := map[string]string{"DATABASE_URL": string(r.config.DatabaseURL), "DATA_DIR": r.config.DataDir}
		code, stdout, stderr := command(t, environ, "reviews", "list", "--kind", "surplus", "--json")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, id)
		code, stdout, _ = command(t, environ, "reviews", "show", id)
		require.Zero(t, code)
		require.Regexp(t, `money +EUR 1\.00|money +1\.00 EUR`, stdout)
		code, _, stderr = command(t, environ, "reviews", "settle", id, "--outcome", "dismiss", "--reason", "no")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "outcome_not_allowed")
		code, stdout, stderr = command(t, environ, "reviews", "settle", id, "--outcome", "credit_account", "--account", euros, "--reason", "it is his")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "credit_account by operator")
		r.until(func() bool { return c.balance(euros) == "101.00 0.00 101.00" }, "credited")

		code, stdout, stderr = command(t, environ, "reconcile", "--wait", "20s")
		require.Equal(t, 1, code, "F128: what has just moved is not compared: %s%s", stdout, stderr)
		require.Contains(t, stdout, "nothing compared yet")
		require.NotContains(t, stdout, "0 differences")
		r.advance(time.Hour)
		code, stdout, stderr = command(t, environ, "reconcile", "--json", "--wait", "20s")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, `"differences": []`)
		require.Contains(t, stdout, `"compared": true`)
		payment := d.text(t, "payment_id")
		rename := func(name string) {
			require.NoError(t, r.app.DB.Writer().Exec("UPDATE transactions SET payment_id = ? WHERE payment_id IN (?, 'pay_other')", name, payment).Error)
		}
		r.advance(time.Hour)
		rename("pay_other")
		code, stdout, stderr = command(t, environ, "reconcile", "--wait", "20s")
		require.Equal(t, 1, code, "drift: %s%s", stdout, stderr)
		require.Contains(t, stdout, "2 differences")
		rename(payment)
		code, _, stderr = command(t, environ, "reconcile", "--wait", "20s")
		require.Zero(t, code, stderr)
		require.EqualValues(t, 4,
			r.count("SELECT COUNT(*) FROM audit WHERE action = 'reconciliation.requested'"))
	}, func(_ *Config, o *Options) { o.Reconcile.Look = 20 * time.Millisecond })
}

// TestF45_SurplusIsReturnedToItsPayer: by the provider's refund of the payment that it came with. One that fails leaves the money where
// it was, for another decision.
func TestF45_SurplusIsReturnedToItsPayer(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		_, review := r.overpaid(c, euros)
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		begun := func(review string) string {
			_, outcomes := r.decision(boss, review)
			require.Contains(t, outcomes, "return_to_payer")
			require.Equal(t, 200, r.settles(boss, review, "return_to_payer", "").status)
			r.settledOnce(boss, review)
			id := r.column("SELECT settlement_id FROM reviews WHERE id = ?", review)[0]
			r.until(func() bool { return r.statusIn(id) == "pending" }, "the bank has the refund")
			require.EqualValues(t, 1_00, r.systemBalance("suspense", "EUR"), "it stays ours to give until the bank has given it")
			return id
		}
		first := begun(review)
		refund := func(id string) string { return r.column("SELECT payment_id FROM transactions WHERE id = ?", id)[0] }
		require.Equal(t, 200, r.bank("POST", "/refunds/"+refund(first)+"/fail", "{}").status)
		again := r.reviewOf("return_failed")
		require.Equal(t, "failed", r.statusIn(first))
		standing, _ := r.decision(boss, again)
		require.Equal(t, "1.00 EUR", standing)

		second := begun(again)
		require.Equal(t, 200, r.bank("POST", "/refunds/"+refund(second)+"/complete", "{}").status)
		r.until(func() bool { return r.statusIn(second) == "completed" }, "the bank has given it back")
		r.quiet()
		require.Zero(t, r.systemBalance("suspense", "EUR"))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros), "the user's money is not touched")
		require.Zero(t, r.count("SELECT COUNT(*) FROM reviews WHERE status = 'open'"))
		r.advance(25 * time.Hour)
		r.reconciles()
		require.Zero(t, r.count("SELECT COUNT(*) FROM reconciliation_differences"))
	})
}

// TestF84_ExpiryRacesTheBanksWebhook: whichever the bank lets win, we say the same.
func TestF84_ExpiryRacesTheBanksWebhook(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		const payments = 12
		ids, paid := make([]string, payments), make([]bool, payments)
		names := make([]string, payments)
		for i := range ids {
			d := c.deposit(euros, "10.00", "EUR")
			ids[i], names[i] = d.text(t, "id"), d.text(t, "payment_id")
		}
		r.quiet()
		r.advance(25 * time.Hour)
		atOnce(payments+2, func(i int) {
			if i >= payments {
				r.sweeps()
				return
			}
			paid[i] = r.bank("POST", "/payments/"+names[i]+"/complete", "{}").status == 200
		})
		want := int64(0)
		for i, id := range ids {
			end := "failed"
			if paid[i] {
				end, want = "completed", want+10_00
			}
			r.until(func() bool { return r.statusIn(id) == end }, "%s is %s", id, end)
		}
		require.Equal(t, want, r.posted(euros))
		require.EqualValues(t, payments, r.count("SELECT COUNT(*) FROM effects WHERE effect IN ('completed', 'failed')"))
	})
}
