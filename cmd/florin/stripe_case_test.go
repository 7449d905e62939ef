package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/stripe/stripetest"
	accountsvc "florin/service/account"
)

// stripeCase is one payment of 10.00 EUR on an account of its own, that events tell of. Its events are fixtures: those that the
// stand-in emits are not sent.
type stripeCase struct {
	r       *stripeRig
	name    string
	account string
	id      string            // of the transaction
	ids     map[string]string // that fixtures want
	sent    []string          // the ids of events, in order
}

// caseBench makes cases.
type caseBench struct {
	*stripeRig
	c         *client
	treasury  string // has money for withdrawals
	connected string // the payout account of the client
}

func eachCaseBench(t *testing.T, test func(t *testing.T, b *caseBench)) {
	eachStripeRig(t, func(t *testing.T, r *stripeRig) {
		b := &caseBench{stripeRig: r, c: r.user()}
		b.treasury = b.c.open("EUR")
		id, intent := r.begun(b.c, b.treasury, "5000.00", "EUR")
		r.stripe.Pay(intent)
		r.deliver()
		r.becomes(id, "completed")
		r.payee(b.c)
		b.connected = r.stripe.Kind("account")[0]
		test(t, b)
	}, patient)
}

// patient has the program wait for its provider as it does outside of tests: many cases begin at once.
func patient(_ *Config, o *Options) { o.Limits = accountsvc.Limits{} }

// beginning is a state that a case begins in: what has happened at Stripe, and what of it was told.
type beginning func(b *caseBench, name string) *stripeCase

func (b *caseBench) newCase(name string) *stripeCase {
	c := &stripeCase{r: b.stripeRig, name: name, account: b.c.open("EUR")}
	c.ids = map[string]string{"account": c.account, "user": b.c.id, "connected": b.connected}
	for _, kind := range []string{"intent", "session", "charge", "fee", "refund", "payout", "transfer"} {
		c.ids[kind] = "none_of_" + kind
	}
	for _, kind := range []string{"dispute", "withdrawn", "reinstated"} { // the stand-in is not asked for them
		c.ids[kind] = kind + "_" + c.account
	}
	return c
}

// begun is the transaction that the case is about.
func (c *stripeCase) begun(a answer) {
	require.Equal(c.r.t, 202, a.status, "%s", a.body)
	c.id = a.text(c.r.t, "id")
	c.ids["transaction"] = c.id
}

// opened waits for its payer.
func opened(b *caseBench, name string) *stripeCase {
	c := b.newCase(name)
	d := b.c.deposit(c.account, "10.00", "EUR")
	c.begun(d)
	c.ids["intent"] = d.text(b.t, "payment_id")
	return c
}

// charged is paid at Stripe, which nothing has told yet.
func charged(b *caseBench, name string) *stripeCase {
	c := opened(b, name)
	b.stripe.Pay(c.ids["intent"])
	c.chargeOf()
	return c
}

func (c *stripeCase) chargeOf() {
	c.ids["charge"] = fmt.Sprint(c.r.stripe.Get(c.ids["intent"])["latest_charge"])
	c.ids["fee"] = fmt.Sprint(c.r.stripe.Get(c.ids["charge"])["balance_transaction"])
}

// completed is paid and told.
func completed(b *caseBench, name string) *stripeCase {
	return charged(b, name).after("payment_intent.succeeded")
}

// refunded has 3.00 given back at the Dashboard, which nothing has told yet.
func refunded(b *caseBench, name string) *stripeCase { return completed(b, name).refundedAtStripe() }

func (c *stripeCase) refundedAtStripe() *stripeCase {
	c.ids["refund"] = c.r.stripe.Refund(c.ids["intent"], 300)
	return c
}

// refundFailing is refunded, and told, and the refund has come back since.
func refundFailing(b *caseBench, name string) *stripeCase {
	c := refunded(b, name).after("refund.created")
	b.stripe.FailRefund(c.ids["refund"])
	return c
}

// disputed has its money withdrawn by a dispute, and told.
func disputed(b *caseBench, name string) *stripeCase {
	return completed(b, name).after("charge.dispute.funds_withdrawn, plain")
}

// checkout is a page that the payer is on.
func checkout(b *caseBench, name string) *stripeCase {
	c := b.newCase(name)
	c.begun(b.c.do("POST", "/account/"+c.account+"/deposit", `{"amount":"10.00","currency":"EUR","money_source":"card","payment_flow":"checkout"}`))
	c.ids["session"] = b.stripe.Find("checkout.session", "florin_transaction_id", c.id)[0]
	return c
}

// paidOnPage has paid there, which nothing has told yet.
func paidOnPage(b *caseBench, name string) *stripeCase {
	c := checkout(b, name)
	c.ids["intent"] = b.stripe.PaySession(c.ids["session"])
	c.chargeOf()
	return c
}

// delayed was paid on the page by a method that takes days, and settled since.
func delayed(b *caseBench, name string) *stripeCase {
	c := checkout(b, name)
	c.ids["intent"] = b.stripe.PaySessionLater(c.ids["session"])
	return c
}

// sentOut is a payout on its way.
func sentOut(b *caseBench, name string) *stripeCase {
	c := b.newCase(name)
	require.Equal(b.t, 200, b.c.transfer(b.treasury, c.account, "10.00", "EUR").status)
	w := b.payOut(b.c, c.account, "10.00", "EUR")
	c.begun(w)
	c.ids["payout"] = w.text(b.t, "payment_id")
	c.ids["transfer"] = b.stripe.Find("transfer", "florin_transaction_id", c.id)[0]
	return c
}

// payoutThat is sent out, and then so much happened at Stripe.
func payoutThat(happened func(b *caseBench, c *stripeCase), told ...string) beginning {
	return func(b *caseBench, name string) *stripeCase {
		c := sentOut(b, name)
		if len(told) > 0 {
			b.stripe.PayOut(c.ids["payout"])
			c.after(told...)
		}
		happened(b, c)
		return c
	}
}

func arrives(b *caseBench, c *stripeCase) { b.stripe.PayOut(c.ids["payout"]) }
func fails(b *caseBench, c *stripeCase)   { b.stripe.FailPayout(c.ids["payout"], "account_closed") }
func isCanceled(b *caseBench, c *stripeCase) {
	b.stripe.Set(c.ids["payout"], "status", "canceled")
}
func arrivesWithMore(b *caseBench, c *stripeCase) {
	b.stripe.Set(c.ids["payout"], "amount", int64(1100))
	arrives(b, c)
}

// arrivesAfterAll arrives although it was given up, here too.
func arrivesAfterAll(b *caseBench, c *stripeCase) {
	isCanceled(b, c)
	c.after("payout.canceled")
	arrives(b, c)
}
func isTakenBack(b *caseBench, c *stripeCase) { b.stripe.Reverse(c.ids["transfer"], 1000) }

// after sends fixtures and waits until they were worked off.
func (c *stripeCase) after(names ...string) *stripeCase {
	for _, name := range names {
		event := c.tell(name, 1)
		c.r.until(func() bool {
			verdict := c.r.verdictOf(event)
			return strings.HasPrefix(verdict, "processed: ")
		}, "%s: %s is worked off", c.name, name)
	}
	return c
}

// tell sends a fixture n times under one event id: two one after the other, more at once.
func (c *stripeCase) tell(name string, n int) (event string) {
	event = fmt.Sprintf("evt_%s_%d", c.id, len(c.sent))
	c.sent = append(c.sent, event)
	body := stripetest.Fixture(name, event, c.r.app.Clock(), c.ids)
	if n <= 2 {
		for range n {
			assert.Equal(c.r.t, 200, c.r.hook(body), name)
		}
		return event
	}
	atOnce(n, func(int) { assert.Equal(c.r.t, 200, c.r.hook(body), name) })
	return event
}

// family is the transaction and what follows it.
const family = `(SELECT t.id FROM transactions t LEFT JOIN transactions p ON p.id = t.linked_transaction_id
	WHERE t.id = ? OR t.linked_transaction_id = ? OR p.linked_transaction_id = ?)`

// books is all that our side says of the case: the transaction's way, the account, the holds, what follows, the sums of the
// entries by account, and what a person has to look at.
func (c *stripeCase) books() string {
	r := c.r
	id := []any{c.id, c.id, c.id}
	followers := r.followers(c.id)
	slices.Sort(followers)
	lines := []string{
		strings.Join(r.history(c.id), " "),
		strings.Join(r.column("SELECT posted || ' ' || held || ' ' || receivable FROM accounts WHERE id = ?", c.account), ""),
		strings.Join(r.column("SELECT amount || ' ' || captured || ' ' || released FROM holds WHERE transaction_id IN "+family+" ORDER BY 1", id...), ", "),
		strings.Join(followers, ", "),
		strings.Join(r.column(`SELECT COALESCE(NULLIF(a.code, ''), 'user') || ' ' || SUM(e.amount) FROM entries e JOIN accounts a ON a.id = e.account_id
			WHERE e.transaction_id IN `+family+" GROUP BY COALESCE(NULLIF(a.code, ''), 'user') ORDER BY 1", id...), ", "),
		strings.Join(r.column("SELECT kind FROM reviews WHERE transaction_id IN "+family+" ORDER BY 1", id...), ", "),
	}
	return strings.Join(lines, "; ")
}

// sideBySide runs fn for each of n, several at a time, in no order.
func sideBySide(n int, fn func(i int)) {
	var workers sync.WaitGroup
	next := make(chan int)
	several := 12
	if underRace {
		several = 2
	}
	for range several {
		workers.Go(func() {
			for i := range next {
				fn(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// permutations are all orders of the numbers below n.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, rest := range permutations(n - 1) {
		for at := 0; at <= len(rest); at++ {
			one := append(append(append([]int{}, rest[:at]...), n-1), rest[at:]...)
			all = append(all, one)
		}
	}
	return all
}
