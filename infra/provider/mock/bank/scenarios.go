package bank

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// ScenarioKey is the metadata key by which a payment asks for a scenario.
const ScenarioKey = "mock_scenario"

// scenario is one way to misbehave. Its zero value is the normal payment: payment.pending, then after
// Config.Autocomplete payment.completed, one webhook each, in that order.
type scenario struct {
	// refusal, when set, is the answer to the create call; nothing is created.
	refusal *refusal
	// failure, when set, is what the payment settles with in place of completing.
	failure *Failure
	// slowness multiplies Config.Autocomplete; 0 is 1.
	slowness int
	// copies is how often each webhook is delivered, two of them at the same time; 0 is 1.
	copies int
	// finalFirst delivers the final webhook before payment.pending.
	finalFirst bool
	// webhooksFirst settles the payment at once, Autocomplete or not, and holds the answer to the create call
	// until the customer has taken all its webhooks.
	webhooksFirst bool
	// holdAnswer accepts the payment and never answers the call that created it; a repeat is answered at once.
	holdAnswer bool
	// moved, when set, is what comes or is paid in place of what was asked.
	moved func(amount int64, currency string) moved
	// silent sends no webhook at all; the list of events has them.
	silent bool
	// after is what happens once the payment is completed, at once and in this order.
	after []step
	// faults is what is wrong with answers, look-ups and deliveries.
	faults
}

// step is one thing that happens to a completed payment, with its notices.
type step func(p *payment, now time.Time) ([]*webhook, error)

// moves is what came of the payment, nil for what was asked.
func (s scenario) moves(p payment) *moved {
	if s.moved == nil {
		return nil
	}
	came := s.moved(p.Amount, p.Currency)
	return &came
}

// scenarios is every scenario by the name that a payment asks for it with. To add one, add an entry; where the
// fields above cannot say it, add a field too.
var scenarios = map[string]scenario{
	"": {},
	"decline": {refusal: &refusal{
		status: http.StatusPaymentRequired, code: "declined", message: "The payment was declined."}},
	"decline_later": {failure: &Failure{Code: "declined", Message: "The payment was declined."}},
	"duplicate":     {copies: 3},
	"late":          {slowness: 5},
	"early":         {webhooksFirst: true},
	"reorder":       {finalFirst: true},

	"timeout_but_charged": {holdAnswer: true},

	"drop_answer":   {faults: faults{answer: cutAnswer}},
	"slow_answer":   {faults: faults{answer: slowAnswer}},
	"garbled":       {faults: faults{answer: garbledAnswer}},
	"other_answer":  {faults: faults{answer: otherAnswer}},
	"rate_limited":  {faults: faults{first: &refusal{http.StatusTooManyRequests, "rate_limited", "Too many calls."}}},
	"unavailable":   {faults: faults{first: &refusal{http.StatusServiceUnavailable, "unavailable", "The bank is busy."}}},
	"stored_500":    {faults: faults{stored: &refusal{http.StatusInternalServerError, "internal", "Something went wrong."}}},
	"lagging":       {faults: faults{lookUp: lagging}},
	"lying":         {faults: faults{lookUp: lying}},
	"forged":        {faults: faults{spoiled: []spoil{anotherSecret, noSignature}}},
	"out_of_time":   {faults: faults{spoiled: []spoil{tenMinutesAgo, inTenMinutes}}},
	"changed_body":  {copies: 2, faults: faults{altered: true}},
	"other_account": {faults: faults{account: otherAccount}},
	"unknown_type":  {after: []step{speakOfNothing}},

	"drop":            {silent: true},
	"partial_capture": {moved: func(amount int64, currency string) moved { return moved{max(1, amount/2), currency} }},
	"wrong_amount":    {moved: func(amount int64, currency string) moved { return moved{amount + 100, currency} }},
	"wrong_currency":  {moved: otherCurrency},

	"fee":              {after: []step{takeFee}},
	"refund":           {after: []step{refundAll}},
	"refund_fails":     {after: []step{refundAll, failRefund}},
	"dispute":          {after: []step{openDispute}},
	"dispute_won":      {after: []step{openDispute, endDispute(disputeWon)}},
	"dispute_lost":     {after: []step{openDispute, endDispute(disputeLost)}},
	"paid_then_failed": {after: []step{failPaid}},
	"return":           {after: []step{returnPaid}},
}

func otherCurrency(amount int64, currency string) moved {
	if currency == "USD" {
		return moved{amount, "EUR"}
	}
	return moved{amount, "USD"}
}

// Scenarios is the names of all scenarios, sorted.
func Scenarios() []string {
	names := slices.Sorted(maps.Keys(scenarios))
	return names[1:] // the first is "", the normal payment
}

// dueAt is when a payment created at created settles by itself, nil when it never does.
func (s scenario) dueAt(created time.Time, autocomplete time.Duration) *time.Time {
	if s.webhooksFirst {
		return &created
	}
	if autocomplete < 0 {
		return nil
	}
	due := created.Add(autocomplete * time.Duration(max(1, s.slowness)))
	return &due
}
