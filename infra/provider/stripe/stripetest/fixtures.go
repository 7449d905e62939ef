package stripetest

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The objects of events as the API reference at https://docs.stripe.com/api describes them, with all of their usual members.
// What differs from one to the next, their ids, is written {{so}}.
//
//go:embed fixtures/*.json
var objects embed.FS

// fixture is an event: which object it carries, and in what its members differ from the object's file.
type fixture struct {
	kind    string // its type
	object  string
	changes object
}

var (
	declined = object{"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "Your card was declined.", "doc_url": "https://docs.stripe.com/error-codes/card-declined"}
	none     = []object{}
	given    = object{"id": "{{reinstated}}", "object": "balance_transaction", "amount": 1000, "fee": 0, "net": 1000, "currency": "eur", "reporting_category": "dispute_reversal",
		"source": "{{dispute}}", "type": "adjustment", "created": 1767270000}
	taken = object{"id": "{{withdrawn}}", "object": "balance_transaction", "amount": -1000, "fee": 1500, "net": -2500, "currency": "eur", "reporting_category": "dispute",
		"source": "{{dispute}}", "type": "adjustment", "created": 1767269000}
)

// fixtures are the events by name: the type, and a word where one type tells several things. Which event has which status is
// as https://docs.stripe.com/api/events/types, /payments/paymentintents/lifecycle, /disputes/how-disputes-work,
// /disputes/withdrawing and /payouts say.
var fixtures = map[string]fixture{
	"payment_intent.created":         {"payment_intent.created", "payment_intent", nil},
	"payment_intent.requires_action": {"payment_intent.requires_action", "payment_intent", object{"status": "requires_action", "payment_method": "pm_1"}},
	"payment_intent.processing":      {"payment_intent.processing", "payment_intent", object{"status": "processing", "payment_method": "pm_1"}},
	"payment_intent.succeeded":       {"payment_intent.succeeded", "payment_intent", object{"status": "succeeded", "amount_received": 1000, "latest_charge": "{{charge}}", "payment_method": "pm_1"}},
	"payment_intent.succeeded, in part": {"payment_intent.succeeded", "payment_intent", object{"status": "succeeded", "amount_received": 700, "latest_charge": "{{charge}}",
		"payment_method": "pm_1"}},
	"payment_intent.payment_failed": {"payment_intent.payment_failed", "payment_intent", object{"last_payment_error": declined}},
	"payment_intent.canceled":       {"payment_intent.canceled", "payment_intent", object{"status": "canceled", "canceled_at": 1767269000, "cancellation_reason": "requested_by_customer"}},

	"checkout.session.completed":               {"checkout.session.completed", "checkout_session", nil},
	"checkout.session.completed, unpaid":       {"checkout.session.completed", "checkout_session", object{"payment_status": "unpaid"}},
	"checkout.session.async_payment_succeeded": {"checkout.session.async_payment_succeeded", "checkout_session", nil},
	"checkout.session.async_payment_failed":    {"checkout.session.async_payment_failed", "checkout_session", object{"payment_status": "unpaid"}},
	"checkout.session.expired":                 {"checkout.session.expired", "checkout_session", object{"payment_status": "unpaid", "status": "expired", "payment_intent": nil}},

	"charge.succeeded": {"charge.succeeded", "charge", nil},
	"charge.pending":   {"charge.pending", "charge", object{"paid": false, "status": "pending", "balance_transaction": nil}},
	"charge.failed":    {"charge.failed", "charge", object{"paid": false, "captured": false, "status": "failed", "balance_transaction": nil, "failure_code": "card_declined"}},
	"charge.updated":   {"charge.updated", "charge", nil},
	"charge.updated, without its balance transaction": {"charge.updated", "charge", object{"balance_transaction": nil}},
	"charge.refunded": {"charge.refunded", "charge", object{"amount_refunded": 300}},

	"refund.created":                 {"refund.created", "refund", nil},
	"refund.created, pending":        {"refund.created", "refund", object{"status": "pending", "pending_reason": "processing"}},
	"refund.updated":                 {"refund.updated", "refund", nil},
	"refund.failed":                  {"refund.failed", "refund", object{"status": "failed", "failure_reason": "lost_or_stolen_card", "failure_balance_transaction": "txn_of_the_failure"}},
	"charge.refund.updated, failed":  {"charge.refund.updated", "refund", object{"status": "failed", "failure_reason": "expired_or_canceled_card"}},
	"refund.updated, canceled":       {"refund.updated", "refund", object{"status": "canceled"}},
	"charge.refund.updated, of card": {"charge.refund.updated", "refund", nil},

	"charge.dispute.created":                {"charge.dispute.created", "dispute", object{"balance_transactions": none}},
	"charge.dispute.created, inquiry":       {"charge.dispute.created", "dispute", object{"balance_transactions": none, "status": "warning_needs_response", "is_charge_refundable": true}},
	"charge.dispute.updated":                {"charge.dispute.updated", "dispute", object{"status": "under_review"}},
	"charge.dispute.updated, inquiry":       {"charge.dispute.updated", "dispute", object{"balance_transactions": none, "status": "warning_under_review"}},
	"charge.dispute.funds_withdrawn":        {"charge.dispute.funds_withdrawn", "dispute", nil},
	"charge.dispute.funds_withdrawn, plain": {"charge.dispute.funds_withdrawn", "dispute", object{"balance_transactions": none}},
	"charge.dispute.funds_reinstated":       {"charge.dispute.funds_reinstated", "dispute", object{"status": "won", "balance_transactions": []object{taken, given}}},
	"charge.dispute.closed, won":            {"charge.dispute.closed", "dispute", object{"status": "won", "balance_transactions": []object{taken, given}}},
	"charge.dispute.closed, lost":           {"charge.dispute.closed", "dispute", object{"status": "lost"}},
	"charge.dispute.closed, inquiry":        {"charge.dispute.closed", "dispute", object{"balance_transactions": none, "status": "warning_closed"}},

	"payout.created":    {"payout.created", "payout", nil},
	"payout.updated":    {"payout.updated", "payout", object{"status": "in_transit"}},
	"payout.paid":       {"payout.paid", "payout", object{"status": "paid"}},
	"payout.failed":     {"payout.failed", "payout", object{"status": "failed", "failure_code": "account_closed", "failure_message": "The bank account has been closed.", "failure_balance_transaction": "txn_of_the_failure"}},
	"payout.canceled":   {"payout.canceled", "payout", object{"status": "canceled"}},
	"transfer.created":  {"transfer.created", "transfer", nil},
	"transfer.reversed": {"transfer.reversed", "transfer", object{"amount_reversed": 1000, "reversed": true}},
	"account.updated":   {"account.updated", "account", nil},
	"person.updated":    {"person.updated", "account", object{"object": "person"}},
	"customer.created":  {"customer.created", "account", object{"id": "cus_1", "object": "customer"}},
}

// ofConnected are the objects whose events are of the connected account {{connected}}.
var ofConnected = []string{"payout", "account"}

// Fixtures are the names of all event fixtures, in order.
func Fixtures() []string { return slices.Sorted(maps.Keys(fixtures)) }

// FixtureType is the type of the event.
func FixtureType(name string) string { return fixtures[name].kind }

// Fixture is the body of the webhook of that name and event id, with the ids filled in.
func Fixture(name, id string, at time.Time, ids map[string]string) []byte {
	f, ok := fixtures[name]
	if !ok {
		panic("stripetest: no fixture " + name)
	}
	raw, err := objects.ReadFile("fixtures/" + f.object + ".json")
	if err != nil {
		panic(err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		panic(fmt.Sprintf("stripetest: %s: %v", f.object, err))
	}
	maps.Copy(o, f.changes)
	account := ""
	if slices.Contains(ofConnected, f.object) {
		account = "{{connected}}"
	}
	body := string(Render(id, f.kind, account, at, o))
	pairs := make([]string, 0, 2*len(ids))
	for name, value := range ids {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	body = strings.NewReplacer(pairs...).Replace(body)
	if _, missing, found := strings.Cut(body, "{{"); found {
		panic("stripetest: " + name + " wants " + missing[:20])
	}
	return []byte(body)
}
