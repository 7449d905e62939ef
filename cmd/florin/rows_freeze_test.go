package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// freeze has the administrator take an account out of use, or back into it.
func (r *rig) freeze(boss *client, act, account string) answer {
	r.t.Helper()
	return r.administer(boss.token, "POST", "/admin/accounts/"+account+"/"+act, `{"reason":"a court order"}`)
}

// TestF85_AccountFrozenMidFlight: a withdrawal that was sent completes, one that was not is released with its reason, a deposit that
// is confirmed credits, and nothing new leaves or arrives until the account is unfrozen.
func TestF85_AccountFrozenMidFlight(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		boss, c, other := r.admin(), r.user(), r.user()
		euros, theirs := c.open("EUR"), other.open("EUR")
		c.fund(euros, "100.00", "EUR")
		other.fund(theirs, "10.00", "EUR")
		sent := c.withdraw(euros, "40.00", "EUR")
		arriving := c.deposit(euros, "5.00", "EUR")
		n.bank.cut()
		unsent := c.withdraw(euros, "20.00", "EUR")
		require.Equal(t, "initiated", unsent.text(t, "status"))

		frozen := r.freeze(boss, "freeze", euros)
		require.Equal(t, 200, frozen.status, "%s", frozen.body)
		require.Equal(t, "frozen", frozen.text(t, "status"))
		n.bank.heal()
		for _, refused := range []answer{c.withdraw(euros, "1.00", "EUR"), c.deposit(euros, "1.00", "EUR"), c.transfer(euros, theirs, "1.00", "EUR")} {
			refused.refused(t, 422, "account_frozen")
		}
		other.transfer(theirs, euros, "1.00", "EUR").refused(t, 422, "destination_unavailable")

		r.complete(sent.text(t, "payment_id"))
		c.await(sent.text(t, "id"), "completed")
		r.complete(arriving.text(t, "payment_id"))
		c.await(arriving.text(t, "id"), "completed")
		r.advance(time.Minute)
		c.await(unsent.text(t, "id"), "failed")
		require.Contains(t, string(c.do("GET", "/transaction/"+unsent.text(t, "id"), "").body), `"code":"account_frozen"`)
		require.Equal(t, "65.00 0.00 65.00", c.balance(euros))

		require.Equal(t, 200, r.freeze(boss, "freeze", euros).status, "once more changes nothing")
		require.Equal(t, "active", r.freeze(boss, "unfreeze", euros).text(t, "status"))
		require.Equal(t, 200, c.transfer(euros, theirs, "1.00", "EUR").status)
		require.Equal(t, []string{"account.freeze a court order", "account.unfreeze a court order"},
			r.column("SELECT action || ' ' || reason FROM audit WHERE subject = ? AND actor <> '' AND ip <> '' AND request_id <> '' ORDER BY id", euros))
	})
}

// TestF85_FreezeRacesWithdrawals: of 64 withdrawals at once, those that were accepted before the freeze are paid, and none is
// accepted after it.
func TestF85_FreezeRacesWithdrawals(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss, c := r.admin(), r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		var answers tally
		accepted := make(chan string, 65)
		try := func() {
			w := c.withdraw(euros, "1.00", "EUR")
			answers.add(w.outcome(t))
			if w.status == 202 {
				accepted <- w.text(t, "payment_id")
			}
		}
		atOnce(65, func(i int) {
			if i == 32 {
				assert.Equal(t, 200, r.freeze(boss, "freeze", euros).status)
				return
			}
			try()
		})
		before := len(accepted)
		try()
		require.Equal(t, before, len(accepted), "nothing is accepted after the freeze was answered")
		require.Subset(t, []string{"202", "422 account_frozen"}, slices.Collect(maps.Keys(answers.seen)))
		close(accepted)
		for payment := range accepted {
			r.complete(payment)
		}
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM holds WHERE status = 'active'") == 0 }, "what was accepted is paid")
		require.Equal(t, fmt.Sprintf("%d.00 0.00 %d.00", 100-before, 100-before), c.balance(euros))
	})
}

func TestFreezeIsRefused(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss, c := r.admin(), r.user()
		euros := c.open("EUR")
		require.Equal(t, 403, r.freeze(c, "freeze", euros).status)
		r.freeze(boss, "freeze", uuid.NewString()).refused(t, 404, "not_found")
		r.administer(boss.token, "POST", "/admin/accounts/"+euros+"/freeze", `{"reason":" "}`).refused(t, 422, "reason_required")
		r.administer(boss.token, "POST", "/admin/accounts/"+euros+"/freeze", `{"reason":"a\nb"}`).refused(t, 422, "invalid_reason")
		require.Equal(t, 200, c.do("POST", "/account/"+euros+"/close", "").status)
		r.freeze(boss, "freeze", euros).refused(t, 422, "account_closed")
		require.Zero(t, r.count("SELECT COUNT(*) FROM audit WHERE action LIKE 'account.%freeze'"))
	})
}
