package stripe

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// The keys of our metadata at Stripe. The client's own metadata stays here.
const (
	metaPrefix      = "florin_"
	metaTransaction = "florin_transaction_id"
	metaAccount     = "florin_account_id"
	metaUser        = "florin_user_id"
	metaFlow        = "florin_flow"
	metaRefund      = "florin_refund_id"
	metaTransfer    = "florin_transfer_id"
)

// What follows is Stripe's objects as far as we read them. Fields are optional as far as they can be, because an event may
// be in any version of the API.

// ref is an id, read from an id or from the object itself where it came expanded.
type ref string

func (r *ref) UnmarshalJSON(raw []byte) error {
	var object struct {
		ID string `json:"id"`
	}
	switch {
	case len(raw) > 0 && raw[0] == '"':
		return json.Unmarshal(raw, (*string)(r))
	case len(raw) > 0 && raw[0] == '{':
		if err := json.Unmarshal(raw, &object); err != nil {
			return err
		}
		*r = ref(object.ID)
	}
	return nil
}

// meta is metadata: whoever can write to the account at Stripe can write anything there.
type meta map[string]string

func (m *meta) UnmarshalJSON(raw []byte) error {
	var loose map[string]any
	if json.Unmarshal(raw, &loose) != nil || loose == nil {
		return nil // metadata that cannot be read is none, and says nothing
	}
	*m = meta{}
	for k, v := range loose {
		if text, ok := v.(string); ok {
			(*m)[k] = text
		}
	}
	return nil
}

// others says that the object shows its metadata, and that nothing in it is ours: whatever we begin
// carries our ids from its first moment on.
func (m meta) others() bool {
	for key := range m {
		if strings.HasPrefix(key, metaPrefix) {
			return false
		}
	}
	return m != nil
}

// id reads one of our ids, uuid.Nil where it is absent or none.
func (m meta) id(key string) uuid.UUID {
	id, err := uuid.Parse(m[key])
	if err != nil || id.String() != strings.ToLower(m[key]) {
		return uuid.Nil
	}
	return id
}

// owned is any object that has metadata.
type owned struct {
	Object   string `json:"object"`
	Metadata meta   `json:"metadata"`
}

func (o owned) kind() string { return o.Object }

type intent struct {
	Object             string   `json:"object"`
	ID                 string   `json:"id"`
	Amount             int64    `json:"amount"`
	AmountReceived     int64    `json:"amount_received"`
	Currency           string   `json:"currency"`
	Status             string   `json:"status"`
	Metadata           meta     `json:"metadata"`
	ClientSecret       string   `json:"client_secret"`
	LastPaymentError   *payFail `json:"last_payment_error"`
	CancellationReason string   `json:"cancellation_reason"`
	Created            int64    `json:"created"`
	CanceledAt         int64    `json:"canceled_at"`
}

type payFail struct {
	Code          string        `json:"code"`
	DeclineCode   string        `json:"decline_code"`
	Message       string        `json:"message"`
	PaymentMethod paymentMethod `json:"payment_method"`
}

type paymentMethod struct {
	Card *struct {
		Fingerprint string `json:"fingerprint"`
	} `json:"card"`
}

// UnmarshalJSON reads the method where it came whole; an id alone says nothing of the card.
func (m *paymentMethod) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	type plain paymentMethod
	return json.Unmarshal(raw, (*plain)(m))
}

func (i intent) kind() string { return i.Object }

type session struct {
	Object        string `json:"object"`
	ID            string `json:"id"`
	Mode          string `json:"mode"`
	Status        string `json:"status"`         // open, complete, expired
	PaymentStatus string `json:"payment_status"` // paid, unpaid, no_payment_required
	PaymentIntent ref    `json:"payment_intent"`
	AmountTotal   int64  `json:"amount_total"`
	Currency      string `json:"currency"`
	Metadata      meta   `json:"metadata"`
	URL           string `json:"url"`
	Created       int64  `json:"created"`
}

func (s session) kind() string { return s.Object }

type charge struct {
	Object             string `json:"object"`
	ID                 string `json:"id"`
	Amount             int64  `json:"amount"`
	Currency           string `json:"currency"`
	PaymentIntent      ref    `json:"payment_intent"`
	BalanceTransaction ref    `json:"balance_transaction"`
	Paid               bool   `json:"paid"`
	Metadata           meta   `json:"metadata"`
	Created            int64  `json:"created"`
}

func (c charge) kind() string { return c.Object }

type refund struct {
	Object        string `json:"object"`
	ID            string `json:"id"`
	Amount        int64  `json:"amount"`
	Currency      string `json:"currency"`
	Status        string `json:"status"` // pending, requires_action, succeeded, failed, canceled
	Charge        ref    `json:"charge"`
	PaymentIntent ref    `json:"payment_intent"`
	FailureReason string `json:"failure_reason"`
	Metadata      meta   `json:"metadata"`
	Created       int64  `json:"created"`
}

func (r refund) kind() string { return r.Object }

type dispute struct {
	Object              string               `json:"object"`
	ID                  string               `json:"id"`
	Amount              int64                `json:"amount"`
	Currency            string               `json:"currency"`
	Status              string               `json:"status"`
	Reason              string               `json:"reason"`
	Charge              ref                  `json:"charge"`
	PaymentIntent       ref                  `json:"payment_intent"`
	BalanceTransactions []balanceTransaction `json:"balance_transactions"`
	Created             int64                `json:"created"`
}

func (d dispute) kind() string { return d.Object }

type balanceTransaction struct {
	Object   string `json:"object"`
	ID       string `json:"id"`
	Amount   int64  `json:"amount"`
	Fee      int64  `json:"fee"`
	Currency string `json:"currency"`
	Type     string `json:"type"`
	Created  int64  `json:"created"`
}

func (b balanceTransaction) kind() string { return b.Object }

type transfer struct {
	Object         string `json:"object"`
	ID             string `json:"id"`
	Amount         int64  `json:"amount"`
	AmountReversed int64  `json:"amount_reversed"`
	Reversed       bool   `json:"reversed"`
	Currency       string `json:"currency"`
	Destination    ref    `json:"destination"`
	Metadata       meta   `json:"metadata"`
	Created        int64  `json:"created"`
}

func (t transfer) kind() string { return t.Object }

// back says that all of the money is on our own balance again.
func (t transfer) back() bool { return t.Reversed && t.AmountReversed >= t.Amount }

type payout struct {
	Object         string `json:"object"`
	ID             string `json:"id"`
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	Status         string `json:"status"` // pending, in_transit, paid, failed, canceled
	FailureCode    string `json:"failure_code"`
	FailureMessage string `json:"failure_message"`
	Metadata       meta   `json:"metadata"`
	Created        int64  `json:"created"`
	ArrivalDate    int64  `json:"arrival_date"` // the day's beginning
}

func (p payout) kind() string { return p.Object }

type connected struct {
	Object           string `json:"object"`
	ID               string `json:"id"`
	DetailsSubmitted bool   `json:"details_submitted"`
	PayoutsEnabled   bool   `json:"payouts_enabled"`
	Metadata         meta   `json:"metadata"`
}

func (a connected) kind() string { return a.Object }

type accountLink struct {
	Object string `json:"object"`
	URL    string `json:"url"`
}

func (l accountLink) kind() string { return l.Object }

var errNotPayment = errors.New("the object is not a payment")

// fact starts an event or a report: the amount in our units, checked.
func fact(kind account.ReceivedKind, paymentID string, transactionID uuid.UUID, minor int64, code string, at time.Time) (account.PaymentReport, error) {
	amount, iso, err := fromStripe(minor, code)
	if err != nil {
		return account.PaymentReport{}, err
	}
	if amount <= 0 || (paymentID != "" && !validID(paymentID)) {
		return account.PaymentReport{}, errNotPayment
	}
	return account.PaymentReport{PaymentID: paymentID, TransactionID: transactionID, Kind: kind, Amount: amount, Currency: iso, OccurredAt: at}, nil
}

// report is what the intent says of its payment at the time at. A failed attempt is not the end of it.
func (i intent) report(at time.Time) (account.PaymentReport, error) {
	kind, amount := account.ReceivedPending, i.Amount
	switch i.Status {
	case "succeeded":
		kind, amount = account.ReceivedCompleted, i.AmountReceived
	case "canceled":
		kind = account.ReceivedFailed
	case "requires_payment_method", "requires_confirmation", "requires_action", "processing", "requires_capture":
	default:
		return account.PaymentReport{}, errNotPayment
	}
	if !validID(i.ID) {
		return account.PaymentReport{}, errNotPayment
	}
	r, err := fact(kind, i.ID, i.Metadata.id(metaTransaction), amount, i.Currency, at)
	if err == nil && kind == account.ReceivedFailed {
		r.Failure = i.failure()
	}
	return r, err
}

// card is Stripe's own name of the card that the last attempt failed with, "" where it is not told.
func (i intent) card() string {
	e := i.LastPaymentError
	if e == nil || e.PaymentMethod.Card == nil || !validID(e.PaymentMethod.Card.Fingerprint) {
		return ""
	}
	return e.PaymentMethod.Card.Fingerprint
}

// failure is why a canceled intent came to nothing: the last attempt's reason, unless somebody wanted it canceled.
func (i intent) failure() *account.Failure {
	if e := i.LastPaymentError; e != nil && i.CancellationReason == "" {
		return &account.Failure{Code: declineCode(e.Code, e.DeclineCode), Message: orText(plainText(e.Message), "The payment was declined.")}
	}
	return canceled()
}

func canceled() *account.Failure {
	return &account.Failure{Code: "canceled", Message: "The payment was canceled."}
}

// report is what the session says of its payment. Its payment's id is the intent's, "" before there is one.
func (s session) report(at time.Time) (account.PaymentReport, error) {
	kind := account.ReceivedPending
	switch {
	case s.Status == "expired":
		kind = account.ReceivedFailed
	case s.Status == "complete" && s.PaymentStatus == "paid":
		kind = account.ReceivedCompleted
	}
	if kind == account.ReceivedCompleted && s.PaymentIntent == "" {
		return account.PaymentReport{}, errNotPayment
	}
	r, err := fact(kind, string(s.PaymentIntent), s.Metadata.id(metaTransaction), s.AmountTotal, s.Currency, at)
	if err == nil && kind == account.ReceivedFailed {
		r.Failure = &account.Failure{Code: "expired", Message: "The payment was not completed in time."}
	}
	return r, err
}

// report is what the refund says of itself; its payment id is the refund's own.
func (r refund) report(at time.Time) (account.PaymentReport, error) {
	if !validID(r.ID) {
		return account.PaymentReport{}, errNotPayment
	}
	kind := account.ReceivedPending
	switch r.Status {
	case "succeeded":
		kind = account.ReceivedRefunded
	case "failed", "canceled":
		kind = account.ReceivedRefundFailed
	}
	report, err := fact(kind, r.ID, r.Metadata.id(metaRefund), r.Amount, r.Currency, at)
	if err == nil && kind == account.ReceivedRefundFailed {
		report.Failure = r.failure()
	}
	return report, err
}

func (r refund) failure() *account.Failure {
	if r.Status == "canceled" {
		return &account.Failure{Code: "canceled", Message: "The refund was canceled."}
	}
	return &account.Failure{Code: plainCode(r.FailureReason), Message: "The refund did not reach the payer."}
}

// report is what the payout says of itself, as if its transfer did not exist: a failure holds only once that is reversed.
func (p payout) report(at time.Time) (account.PaymentReport, error) {
	if !validID(p.ID) {
		return account.PaymentReport{}, errNotPayment
	}
	kind := account.ReceivedPending
	switch p.Status {
	case "paid":
		kind = account.ReceivedCompleted
	case "failed", "canceled":
		kind = account.ReceivedFailed
	}
	r, err := fact(kind, p.ID, p.Metadata.id(metaTransaction), p.Amount, p.Currency, at)
	if err == nil && kind == account.ReceivedFailed {
		r.Failure = p.failure()
	}
	return r, err
}

func (p payout) failure() *account.Failure {
	if p.Status == "canceled" {
		return &account.Failure{Code: "canceled", Message: "The payout was canceled."}
	}
	return &account.Failure{Code: plainCode(p.FailureCode), Message: orText(plainText(p.FailureMessage), "The payout failed.")}
}

// when is a time of Stripe's, or the other where it has none.
func when(seconds int64, other time.Time) time.Time {
	if seconds <= 0 || seconds > 1<<40 {
		return other.UTC().Truncate(time.Microsecond)
	}
	return time.Unix(seconds, 0).UTC()
}
