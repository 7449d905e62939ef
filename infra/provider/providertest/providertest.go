// Package providertest is the suite that every account.PaymentProvider passes. An adapter's test gives it a
// Harness: the provider, spoken to over its real protocol, and a hand on the other side.
package providertest

import (
	"net/http"
	"testing"
	"time"

	"florin/domain/account"
)

// Fault is what the other side does with the next call that creates a payment or a refund. It applies once.
type Fault string

// The faults that a Harness can make.
const (
	FaultRefuse      Fault = "refuse"       // a definite no; nothing is created
	FaultBusy        Fault = "busy"         // asks to come back after 2 seconds; nothing is created
	FaultServerError Fault = "server_error" // accepts the payment and answers 500
	FaultHang        Fault = "hang"         // accepts the payment and does not answer
	FaultLoseReply   Fault = "lose_reply"   // accepts the payment and cuts the connection
	FaultRedirect    Fault = "redirect"     // answers with a redirect to a place that would say yes
	FaultGarbage     Fault = "garbage"      // accepts the payment and answers what cannot be read
	FaultFlood       Fault = "flood"        // accepts the payment and answers without an end
	FaultOtherAmount Fault = "other_amount" // accepts the payment and answers another amount than was sent
)

// busyFor is what FaultBusy asks for.
const busyFor = 2 * time.Second

// Signing says how a webhook is signed.
type Signing struct {
	At     time.Time // the time that is signed
	Forged bool      // with a secret that the provider does not have
	Decoys int       // wrong signatures put before the right one
}

// Harness is one provider and the hands on its other side. Each test gets its own.
type Harness struct {
	Provider account.PaymentProvider
	// Now is the clock that Provider checks webhooks by.
	Now func() time.Time
	// Inject makes the next call that creates a payment or a refund meet the fault. FaultHang must end when the call's context ends.
	Inject func(Fault)
	// Complete and Fail settle a pending payment at the other side. Fail's code reaches the report.
	Complete func(t testing.TB, paymentID string)
	Fail     func(t testing.TB, paymentID, code string)
	// CompleteRefund and FailRefund settle a refund at the other side, by its id. A refund that is complete at once stays so.
	CompleteRefund func(t testing.TB, refundID string)
	FailRefund     func(t testing.TB, refundID string)
	// Settle lets so much time pass that the list of events has what happened before.
	Settle func()
	// Target is where a withdrawal can be paid to.
	Target account.ExternalTarget
	// Attempts are the bodies of all calls so far that begin a payment, as they came over the wire.
	Attempts func() [][]byte
	// Payments counts what the other side has for our transaction.
	Payments func(t testing.TB, transactionID string) int
	// Render is the body of a webhook that states the event, as the provider would write it. Sign is the signed
	// headers for a body, and no others. SignatureHeader names the one with the signature.
	Render func(event account.PaymentReceivedEvent) []byte
	// Failure is what a rendered failure states.
	Failure         account.Failure
	Sign            func(t testing.TB, body []byte, how Signing) http.Header
	SignatureHeader string
	// Unhandled is an authentic body of a type that moves nothing.
	Unhandled []byte
}

// Run runs the suite; open makes a fresh harness for each test and cleans it up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"Deposit", testDeposit},
		{"Withdraw", testWithdraw},
		{"F22_SameKeySamePayment", testF22SameKey},
		{"F23_Unknown", testF23Unknown},
		{"F25_Refused", testF25Refused},
		{"F26_Busy", testF26Busy},
		{"F27_AttemptsAreByteIdentical", testF27Identical},
		{"F29_AnswerNotBelieved", testF29NotBelieved},
		{"F31_RedirectNotFollowed", testF31Redirect},
		{"StatusByBothIDs", testStatus},
		{"NotFound", testNotFound},
		{"Cancel", testCancel},
		{"Refund", testRefund},
		{"RefundOfWhatIsNotPaid", testRefundOfWhatIsNotPaid},
		{"F22_F23_RefundUnknown", testRefundUnknown},
		{"RefundFails", testRefundFails},
		{"F64_ListEvents", testListEvents},
		{"I21_ListMovements", testListMovements},
		{"WebhookAuthentic", testWebhookAuthentic},
		{"F48_NotAuthentic", testF48NotAuthentic},
		{"F49_F50_Window", testF49F50Window},
		{"F53_ManySignatures", testF53ManySignatures},
		{"F55_Unhandled", testF55Unhandled},
		{"WebhookMalformed", testWebhookMalformed},
		{"F132_WebhookUnusable", testF132Unusable},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}
