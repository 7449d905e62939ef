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
