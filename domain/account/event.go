package account

import (
	"time"

	"github.com/google/uuid"
)

// PaymentEvent says that a transaction moved to a status. It is stored in the same commit as the move and is
// at once the transaction's history, the outbox and the log that subscribers read. A repeat has the same
// EventID and Seq.
type PaymentEvent struct {
	EventID       string            `json:"event_id"`
	TransactionID string            `json:"transaction_id"`
	AccountID     string            `json:"account_id"`
	UserID        string            `json:"user_id"`
	Amount        int64             `json:"amount"` // minor units of Currency
	Currency      string            `json:"currency"`
	Status        PaymentStatus     `json:"status"`
	Provider      string            `json:"provider"`
	Timestamp     int64             `json:"timestamp"` // Unix seconds
	Metadata      map[string]string `json:"metadata,omitempty"`

	Seq   int           `json:"seq"`            // 1, 2, … per transaction, without a gap
	From  PaymentStatus `json:"from,omitempty"` // the status before, "" for the first
	Cause Cause         `json:"cause"`
	At    time.Time     `json:"at"` // never before the transaction's previous event

	// Direction is "in" or "out" as AccountID sees it, "" where no account is concerned.
	Direction string `json:"direction,omitempty"`
	// The other side of a transfer: AccountID and UserID are the sender's.
	CounterpartyAccountID string `json:"counterparty_account_id,omitempty"`
	CounterpartyUserID    string `json:"counterparty_user_id,omitempty"`
	// TraceParent is the W3C trace context of the call that began the transaction, "" where nothing is traced: the traceparent and,
	// behind a space where there is one, the tracestate.
	TraceParent string `json:"traceparent,omitempty"`
}

// SeenBy is the event as one user may see it, false where it is none of his. Of a transfer each side sees its own account,
// and of the other the account alone; who sends to himself sees it from the sender's account.
func (e PaymentEvent) SeenBy(userID string) (PaymentEvent, bool) {
	switch userID {
	case "":
		return PaymentEvent{}, false
	case e.UserID:
		e.CounterpartyUserID = ""
		return e, true
	case e.CounterpartyUserID:
		e.AccountID, e.CounterpartyAccountID = e.CounterpartyAccountID, e.AccountID
		e.UserID, e.CounterpartyUserID, e.Direction = userID, "", "in"
		e.Metadata = map[string]string{OperationKey: e.Metadata[OperationKey]}
		e.TraceParent = ""
		return e, true
	default:
		return PaymentEvent{}, false
	}
}

// OperationKey is the member of a PaymentEvent's metadata that says what type of transaction moved.
const OperationKey = "operation"

// Cause is what made a transaction move.
type Cause string

// The causes of a move.
const (
	CauseRequest Cause = "request" // a client's call
	CauseReply   Cause = "reply"   // the provider's answer to our call
	CauseWebhook Cause = "webhook" // the provider's webhook
	CauseReport  Cause = "report"  // the provider's answer when we asked
	CauseListing Cause = "listing" // the provider's list of its events, where the webhook did not come
	CauseExpiry  Cause = "expiry"  // our deadline, after the provider confirmed the cancelation
	CauseReview  Cause = "review"  // a person's decision on a review
)

// Kept says whether an event that was learned so has a row of the inbox: a webhook and an entry of a list have an id of the
// provider's own; an answer can be had again by asking.
func (c Cause) Kept() bool { return c == CauseWebhook || c == CauseListing }

// ReceivedKind is what a provider's event says of a payment, in our words.
type ReceivedKind string

// The kinds of a PaymentReceivedEvent.
const (
	ReceivedPending   ReceivedKind = "payment.pending"
	ReceivedCompleted ReceivedKind = "payment.completed"
	ReceivedFailed    ReceivedKind = "payment.failed"
	// ReceivedAttemptFailed says that an attempt of the payer failed. The payment is open as before: he may try again.
	ReceivedAttemptFailed ReceivedKind = "payment.attempt_failed"
	// ReceivedRefunded says that money of a deposit went back to the payer: Ref is the refund, Amount what that refund alone gave back.
	ReceivedRefunded ReceivedKind = "payment.refunded"
	// ReceivedRefundFailed says that the refund Ref did not reach the payer, or came back: its money is at the provider again.
	ReceivedRefundFailed ReceivedKind = "refund.failed"
	// ReceivedDisputed says that the provider took Amount back because of the dispute Ref. An inquiry that moves no money
	// is ReceivedIgnored.
	ReceivedDisputed ReceivedKind = "payment.disputed"
	// ReceivedDisputeWon says that the provider gave the money of the dispute Ref back.
	ReceivedDisputeWon ReceivedKind = "payment.dispute_won"
	// ReceivedDisputeLost says that the money of the dispute Ref stays where it is.
	ReceivedDisputeLost ReceivedKind = "payment.dispute_lost"
	// ReceivedPayoutReturned says that the money of a completed payout is at the provider again.
	ReceivedPayoutReturned ReceivedKind = "payout.returned"
	// ReceivedFee says what the provider kept for the payment: Ref is its own record of that, Amount the fee.
	ReceivedFee ReceivedKind = "payment.fee"
	// ReceivedConsult is an authentic event that does not state its facts, or that wants something done at the provider before
	// they hold. It is stored, answered, and worked off by PaymentProvider.Consult.
	ReceivedConsult ReceivedKind = "consult"
	// ReceivedForeign is an authentic event that is not ours to book: of the other mode, test or live, or of an account that we
	// never onboarded. Type and Failure say why. It is quarantined with an alert.
	ReceivedForeign ReceivedKind = "foreign"
	// ReceivedIgnored is an authentic event of a type that moves nothing here, or that is not made
	// for us. It is stored as ignored; with a Failure, which says what cannot be used of it, there
	// is an alert too.
	ReceivedIgnored ReceivedKind = "ignored"
)

// PaymentReceivedEvent is a fact that a provider told us about a payment: by webhook, in its answer to our
// call, or when asked. Amount, currency and account in it are claims, checked against our own row.
type PaymentReceivedEvent struct {
	Provider string
	// EventID is the provider's id of the event, unique per provider. For a report it is made of the payment
	// and what is reported, so that the same report twice is one event.
	EventID string
	Kind    ReceivedKind
	// Type is the provider's own name of the event, kept for people.
	Type          string
	PaymentID     string
	TransactionID uuid.UUID // ours, from the provider's metadata; uuid.Nil when it has none
	// AccountID is our account as the provider's metadata names it, uuid.Nil when it does not. It is a claim: our row is the authority.
	AccountID uuid.UUID
	// Ref is the refund, dispute or fee that the fact is about, "" where the payment itself is.
	Ref string
	// Turn tells one time of a fact from the next, where the same thing can happen, be undone and
	// happen again: 1, 2, … as the provider's own record proves it, 0 where it does not say, which
	// is taken for the first.
	Turn int
	// Owner is what the provider's objects say of whose the payment is, where they name no
	// transaction of ours.
	Owner Owner
	// FollowID is our own id of the refund, where we started it; uuid.Nil otherwise.
	FollowID uuid.UUID
	Amount   int64 // minor units of Currency
	Currency string
	Failure  *Failure
	// Card is the provider's own name of the card that an attempt failed with, never its number; ""
	// where it is not told.
	Card       string
	OccurredAt time.Time
	Cause      Cause
	// Raw is the body as received, empty for a report. It is kept for redrive and for people.
	Raw []byte
}

// UnusableEvent is the code of a failure of ReceivedIgnored, and its alert.
const UnusableEvent = "unusable_event"

// Owner is whose a payment is that names no transaction of ours.
type Owner string

// The owners.
const (
	OwnerUnsaid Owner = "" // the provider has one customer, or it does not say
	// OwnerOther: the payment itself carries no id of ours, and whatever we begin carries one.
	// Another program on the same account at the provider has begun it.
	OwnerOther Owner = "other"
	// OwnerAsk: the event does not show the payment, and PaymentProvider.Consult tells whose it is.
	OwnerAsk Owner = "ask"
)

// SameFact says whether two events that came under one id state the same. What the provider writes
// around it, such as how often it is still to be delivered or in which version it is rendered, is
// no part of it.
func (e PaymentReceivedEvent) SameFact(other PaymentReceivedEvent) bool {
	sameFailure := (e.Failure == nil) == (other.Failure == nil) &&
		(e.Failure == nil || *e.Failure == *other.Failure)
	return sameFailure && e.Kind == other.Kind && e.Type == other.Type &&
		e.PaymentID == other.PaymentID &&
		e.TransactionID == other.TransactionID && e.AccountID == other.AccountID &&
		e.Ref == other.Ref && e.Turn == other.Turn &&
		e.FollowID == other.FollowID && e.Amount == other.Amount && e.Currency == other.Currency
}

// Received turns the provider's report into the event that a webhook would have brought.
func (r PaymentReport) Received(provider string, cause Cause) PaymentReceivedEvent {
	return PaymentReceivedEvent{
		Provider:      provider,
		EventID:       "report:" + r.PaymentID + ":" + string(r.Kind),
		Kind:          r.Kind,
		Type:          string(r.Kind),
		PaymentID:     r.PaymentID,
		TransactionID: r.TransactionID,
		Amount:        r.Amount,
		Currency:      r.Currency,
		Failure:       r.Failure,
		OccurredAt:    r.OccurredAt,
		Cause:         cause,
	}
}
