package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/stripe/stripetest"
)

// What the books say of a deposit of 10.00 EUR: its way; posted, held and owed of the account; holds; what follows; entries;
// reviews.
const (
	waiting     = "initiated pending; 0 0 0; ; ; ; "
	paidInFull  = "initiated pending completed; 1000 0 0; ; ; provider_clearing:stripe -1000, user 1000; "
	paidInPart  = "initiated pending completed; 700 0 0; ; ; provider_clearing:stripe -700, user 700; "
	given300    = "initiated pending completed; 700 0 0; ; refund completed 300 300; provider_clearing:stripe -700, user 700; "
	given500    = "initiated pending completed; 500 0 0; ; refund completed 200 200, refund completed 300 300; provider_clearing:stripe -500, user 500; "
	came300back = "initiated pending completed; 1000 0 0; ; refund completed 300 300, refund_reversal completed 300 300; provider_clearing:stripe -1000, user 1000; "
	withFee     = "initiated pending completed; 1000 0 0; ; fee completed 59 59; fees -59, provider_clearing:stripe -941, user 1000; "
	takenAway   = "initiated pending completed; 0 0 0; ; chargeback completed 1000 1000; provider_clearing:stripe 0, user 0; dispute"
	wonBack     = "initiated pending completed; 1000 0 0; ; chargeback completed 1000 1000, chargeback_reversal completed 1000 1000; " +
		"provider_clearing:stripe -1000, user 1000; dispute"
	takenAwayWithFee = "initiated pending completed; 0 0 0; ; chargeback completed 1000 1000, fee completed 1500 1500; " +
		"fees -1500, provider_clearing:stripe 1500, user 0; dispute"
	wonBackWithFee = "initiated pending completed; 1000 0 0; ; chargeback completed 1000 1000, chargeback_reversal completed 1000 1000, fee completed 1500 1500; " +
		"fees -1500, provider_clearing:stripe 500, user 1000; dispute"
	failedDeposit = "initiated pending failed; 0 0 0; ; ; ; "
)

// And of a withdrawal of 10.00 EUR from an account that had them.
const (
	onItsWay   = "initiated pending; 1000 1000 0; 1000 0 0; ; ; "
	paidOut    = "initiated pending completed; 0 0 0; 1000 1000 0; ; payout_clearing:stripe 1000, user -1000; "
	gaveUp     = "initiated pending failed; 1000 0 0; 1000 0 1000; ; ; "
	payoutBack = "initiated pending completed; 1000 0 0; 1000 1000 0; payout_return completed 1000 1000; payout_clearing:stripe 0, user 0; "
)

const (
	paidOutMore  = "initiated pending completed; 0 0 0; 1000 1000 0; ; payout_clearing:stripe 1100, suspense -100, user -1000; payout_differs"
	paidAfterAll = "initiated pending failed completed; 1000 0 0; 1000 0 1000; payout_return completed 1000 1000; payout_clearing:stripe 0, user 0; late_success"
)

const ignoredEvent = "ignored: type moves nothing here"

func consulted(n int) string { return fmt.Sprintf("processed: consulted: %d facts", n) }

// fixtureRows is every event that we handle, and some that we do not: what was before, and exactly what is after.
var fixtureRows = []struct {
	event   string
	from    beginning
	verdict string
	books   string
}{
	{"payment_intent.created", opened, ignoredEvent, waiting},
	{"payment_intent.requires_action", opened, ignoredEvent, waiting},
	{"payment_intent.processing", opened, "processed: stale", waiting},
	{"payment_intent.payment_failed", opened, ignoredEvent, waiting},
	{"payment_intent.succeeded", charged, "processed: completed", paidInFull},
	{"payment_intent.succeeded, in part", charged, "processed: completed", paidInPart},
	{"payment_intent.canceled", opened, "processed: failed", failedDeposit},
	{"checkout.session.completed", paidOnPage, "processed: completed", paidInFull},
	{"checkout.session.completed, unpaid", delayed, "processed: stale", waiting},
	{"checkout.session.async_payment_succeeded", delayed, "processed: completed", paidInFull},
	{"checkout.session.async_payment_failed", delayed, "processed: failed", failedDeposit},
	{"checkout.session.expired", checkout, "processed: failed", failedDeposit},

	{"charge.pending", opened, ignoredEvent, waiting},
	{"charge.failed", opened, ignoredEvent, waiting},
	{"charge.succeeded", completed, consulted(1), withFee},
	{"charge.updated", completed, consulted(1), withFee},
	{"charge.updated, without its balance transaction", completed, ignoredEvent, paidInFull},
	{"charge.refunded", refunded, consulted(1), given300},
	{"refund.created", refunded, "processed: refund", given300},
	{"refund.created, pending", refunded, ignoredEvent, paidInFull},
	{"refund.updated", refunded, "processed: refund", given300},
	{"charge.refund.updated, of card", refunded, "processed: refund", given300},
	{"refund.failed", refundFailing, "processed: refund_reversal", came300back},
	{"charge.refund.updated, failed", refundFailing, "processed: refund_reversal", came300back},
	{"refund.updated, canceled", refundFailing, "processed: refund_reversal", came300back},

	{"charge.dispute.created", completed, ignoredEvent, paidInFull},
	{"charge.dispute.created, inquiry", completed, ignoredEvent, paidInFull},
	{"charge.dispute.updated", disputed, ignoredEvent, takenAway},
	{"charge.dispute.updated, inquiry", completed, ignoredEvent, paidInFull},
	{"charge.dispute.funds_withdrawn", completed, consulted(2), takenAwayWithFee},
	{"charge.dispute.funds_withdrawn, plain", completed, "processed: chargeback", takenAway},
	{"charge.dispute.funds_reinstated", disputed, consulted(2), wonBackWithFee},
	{"charge.dispute.closed, won", disputed, consulted(2), wonBackWithFee},
	{"charge.dispute.closed, lost", disputed, consulted(2), takenAwayWithFee},
	{"charge.dispute.closed, inquiry", completed, ignoredEvent, paidInFull},

	{"payout.created", sentOut, ignoredEvent, onItsWay},
	{"payout.updated", sentOut, ignoredEvent, onItsWay},
	{"payout.paid", payoutThat(arrives), consulted(1), paidOut},
	{"payout.paid", payoutThat(arrivesWithMore), consulted(1), paidOutMore},
	{"payout.paid", payoutThat(arrivesAfterAll), consulted(2), paidAfterAll},
	{"payout.failed", payoutThat(fails), consulted(1), gaveUp},
	{"payout.failed", payoutThat(fails, "payout.paid"), consulted(2), payoutBack},
	{"payout.canceled", payoutThat(isCanceled), consulted(1), gaveUp},
	{"transfer.created", sentOut, ignoredEvent, onItsWay},
	{"transfer.reversed", payoutThat(isTakenBack, "payout.paid"), consulted(2), payoutBack},
	{"account.updated", sentOut, consulted(0), onItsWay},
	{"person.updated", sentOut, ignoredEvent, onItsWay},
	{"customer.created", sentOut, ignoredEvent, onItsWay},
}

// TestF36_F43_F67_F69_F70_F71_F78_F79_F80_F81_F82_StripeFixtures: the exact effect of each event, sent once, twice, and 64 times at once.
func TestF36_F43_F67_F69_F70_F71_F78_F79_F80_F81_F82_StripeFixtures(t *testing.T) {
	var have []string
	for _, row := range fixtureRows {
		have = append(have, row.event)
	}
	slices.Sort(have)
	require.Equal(t, stripetest.Fixtures(), slices.Compact(have), "every fixture has its row")

	eachCaseBench(t, func(t *testing.T, b *caseBench) {
		modes := []int{1, 2, 64}
		cases := make([]*stripeCase, len(fixtureRows)*len(modes))
		sideBySide(len(cases), func(i int) {
			row, times := fixtureRows[i/len(modes)], modes[i%len(modes)]
			c := row.from(b, fmt.Sprintf("%s, %d times", row.event, times))
			cases[i] = c
			c.tell(row.event, times)
		})
		b.quiet()
		require.NotContains(t, cases, (*stripeCase)(nil), "every case came to be")
		for i, c := range cases {
			row := fixtureRows[i/len(modes)]
			assert.Equal(t, row.verdict, b.verdictOf(c.sent[len(c.sent)-1]), c.name)
			assert.Equal(t, row.books, c.books(), c.name)
		}
		require.Zero(t, b.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))
		require.Zero(t, b.alerts("webhook_conflict"))
	})
}

// fixtureFlows are the events of a flow that mean something, in the order in which they happen.
var fixtureFlows = []struct {
	name   string
	from   beginning // with everything done at Stripe, and nothing told
	events []string
	books  string
}{
	{"a payment", charged, []string{"payment_intent.created", "payment_intent.processing", "payment_intent.succeeded", "charge.succeeded"}, withFee},
	{"a page with a slow method", settled, []string{"checkout.session.completed, unpaid", "payment_intent.succeeded", "checkout.session.async_payment_succeeded",
		"charge.updated"}, withFee},
	{"a refund that fails", func(b *caseBench, name string) *stripeCase {
		c := charged(b, name).refundedAtStripe()
		b.stripe.FailRefund(c.ids["refund"])
		return c
	}, []string{"payment_intent.succeeded", "refund.created", "charge.refunded", "refund.failed"}, came300back},
	{"two refunds", func(b *caseBench, name string) *stripeCase {
		c := charged(b, name).refundedAtStripe()
		b.stripe.Refund(c.ids["intent"], 200)
		return c
	}, []string{"payment_intent.succeeded", "refund.created", "charge.refunded"}, given500},
	{"a dispute that is won", charged, []string{"payment_intent.succeeded", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
		"charge.dispute.closed, won"}, wonBackWithFee},
	{"a dispute that is lost", charged, []string{"payment_intent.succeeded", "charge.dispute.funds_withdrawn", "charge.dispute.closed, lost"}, takenAwayWithFee},
	{"an inquiry", charged, []string{"payment_intent.succeeded", "charge.dispute.created, inquiry", "charge.dispute.closed, inquiry"}, paidInFull},
	{"a payout that comes back", payoutThat(func(b *caseBench, c *stripeCase) { arrives(b, c); fails(b, c) }),
		[]string{"payout.paid", "payout.failed", "transfer.reversed"}, payoutBack},
	{"a payout that is canceled", payoutThat(isCanceled), []string{"payout.created", "payout.canceled", "transfer.reversed"}, gaveUp},
}

// settled is delayed, and the money has come.
func settled(b *caseBench, name string) *stripeCase {
	c := delayed(b, name)
	b.stripe.SettleSession(c.ids["session"], true)
	c.chargeOf()
	return c
}

// TestF39_F68_F72_StripeFlowsInEveryOrder: whatever comes first, the books end up the same.
func TestF39_F68_F72_StripeFlowsInEveryOrder(t *testing.T) {
	eachCaseBench(t, func(t *testing.T, b *caseBench) {
		type run struct {
			flow  int
			order []int
		}
		var runs []run
		for i, flow := range fixtureFlows {
			for _, order := range permutations(len(flow.events)) {
				runs = append(runs, run{i, order})
			}
		}
		cases := make([]*stripeCase, len(runs))
		sideBySide(len(runs), func(i int) {
			flow := fixtureFlows[runs[i].flow]
			var names []string
			for _, n := range runs[i].order {
				names = append(names, flow.events[n])
			}
			cases[i] = flow.from(b, flow.name+": "+strings.Join(names, ", "))
			for _, name := range names {
				cases[i].tell(name, 1)
			}
		})
		b.workOff()
		want, got := map[string]int{}, map[string]int{} // how many orders came to what
		for i, c := range cases {
			flow := fixtureFlows[runs[i].flow]
			want[flow.name+": "+flow.books]++
			got[flow.name+": "+c.books()]++
			if books := c.books(); books != flow.books {
				t.Log(c.name, books)
			}
		}
		require.Equal(t, want, got)
		require.Zero(t, b.count("SELECT COUNT(*) FROM transactions WHERE type = 'unmatched'"))
		require.Zero(t, b.alerts("out_of_order"))
	})
}

// workOff lets what waits for something else have its turn, until nothing does.
func (b *caseBench) workOff() {
	b.t.Helper()
	b.quiet() // before time passes: what is open would be asked about in place of being told
	b.until(func() bool {
		if b.count("SELECT COUNT(*) FROM inbox WHERE status IN ('received', 'parked')") == 0 {
			return true
		}
		b.advance(500 * time.Millisecond)
		return false
	}, "everything is worked off")
	b.quiet()
}
