package account

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// A provider's error is of one of three classes, told apart with errors.Is. What is neither
// ErrProviderRefused nor ErrProviderRetryable is ErrProviderUnknown: the payment may exist, so it must never be
// treated as failed, only asked about or repeated under the same key.
var (
	// ErrProviderRefused is a definite no: nothing happened at the provider and nothing will.
	ErrProviderRefused = errors.New("refused by the provider")
	// ErrProviderRetryable is a definite "not now": nothing happened, the same request may be sent again.
	ErrProviderRetryable = errors.New("provider asks to try again")
	// ErrProviderUnknown is no answer, or one that cannot be believed: it may or may not have happened.
	ErrProviderUnknown = errors.New("outcome at the provider is unknown")
	// ErrProviderNotFound is the answer of GetPaymentStatus when the provider has no such payment.
	// It is proof of absence only where the adapter documents that its look-up does not lag.
	ErrProviderNotFound = errors.New("payment not known to the provider")
	// ErrWebhookNotAuthentic is a webhook whose signature or time does not hold. Nothing of it is stored.
	ErrWebhookNotAuthentic = errors.New("webhook is not authentic")
	// ErrWebhookOutOfTime goes with ErrWebhookNotAuthentic where the signature holds and only the time does not: our clock is
	// wrong, or the provider's, or somebody sends an old webhook again.
	ErrWebhookOutOfTime = errors.New("the time of the webhook is outside of the window")
	// ErrWebhookMalformed is an authentic webhook that is not even JSON. What else cannot be used
	// is an event that says so.
	ErrWebhookMalformed = errors.New("webhook cannot be parsed")
)

// ProviderError carries what the provider said beside the class.
type ProviderError struct {
	// Class is ErrProviderRefused, ErrProviderRetryable or ErrProviderUnknown.
	Class error
	// Code is the provider's reason in our words: "declined", "insufficient_funds", "invalid", "expired".
	Code string
	// Message is safe to show to the account's owner.
	Message string
	// RetryAfter is the provider's own wish, 0 when it has none.
	RetryAfter time.Duration
	// Cause is for the log alone.
	Cause error
}

func (e *ProviderError) Error() string {
	text := e.Class.Error()
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *ProviderError) Unwrap() []error { return []error{e.Class, e.Cause} }

// PaymentProvider is a payment service provider: it takes money in, pays it out, and tells us by webhook.
//
// Every call that creates something carries an idempotency key derived from our transaction id, attempt and
// step; repeated with the same instruction it must return the same payment. Calls block until the provider
// answers or ctx ends, and return errors of the classes above. Implementations pass infra/provider/providertest.
type PaymentProvider interface {
	// Name is the provider's name in our rows, routes and metrics, for example "mock".
	Name() string
	// InitiateDeposit asks the provider to collect money. The answer may already be final.
	InitiateDeposit(ctx context.Context, in DepositInstruction) (Initiation, error)
	// InitiateWithdraw asks the provider to pay money out. The answer may already be final.
	InitiateWithdraw(ctx context.Context, in WithdrawInstruction) (Initiation, error)
	// GetPaymentStatus reports the payment by its payment id, or by our transaction id when that is not known.
	// ErrProviderNotFound where the provider has none.
	GetPaymentStatus(ctx context.Context, ref PaymentRef) (PaymentReport, error)
	// CancelPayment asks for a payment to be given up. The report says what became of it: it may have completed.
	CancelPayment(ctx context.Context, ref PaymentRef) (PaymentReport, error)
	// RefundPayment asks for money of a completed deposit to be given back. PaymentID in the answer is the refund's id.
	RefundPayment(ctx context.Context, in RefundInstruction) (Initiation, error)
	// Consult asks what a ReceivedConsult event means, does at the provider what must be done first, and returns the facts,
	// each to be applied once as an event of its own, believed as an answer is. None is an answer too.
	// It is repeatable: the same event gives the same facts again.
	Consult(ctx context.Context, event PaymentReceivedEvent) ([]PaymentReceivedEvent, error)
	// ListEvents returns what the provider has to tell since the cursor, oldest first, at most a page, with the cursor behind
	// it. "" begins at what the provider still keeps. A page may be empty; the end is reached where next is the cursor itself.
	// The listing may lag behind the webhooks.
	ListEvents(ctx context.Context, cursor string) (events []PaymentReceivedEvent, next string, err error)
	// ParseWebhook authenticates the raw bytes and reads them. It does no I/O.
	// ErrWebhookNotAuthentic, with ErrWebhookOutOfTime where that is all, or ErrWebhookMalformed.
	ParseWebhook(raw []byte, header http.Header) (PaymentReceivedEvent, error)
	// SignsWebhook says whether the headers carry this provider's kind of signature, without checking it.
	SignsWebhook(header http.Header) bool
}

// DepositInstruction is what we send to have money collected. The same transaction and attempt always give
// the same instruction, byte for byte, so that the provider's idempotency can compare it.
type DepositInstruction struct {
	IdempotencyKey string
	TransactionID  uuid.UUID
	AccountID      uuid.UUID
	UserID         uuid.UUID
	Amount         money.Money
	MoneySource    string
	PaymentFlow    string // "" is the provider's default
	Metadata       map[string]string
}

// WithdrawInstruction is what we send to have money paid out. Target is the snapshot taken with the hold.
type WithdrawInstruction struct {
	IdempotencyKey string
	TransactionID  uuid.UUID
	AccountID      uuid.UUID
	UserID         uuid.UUID
	Amount         money.Money
	Target         ExternalTarget
	Metadata       map[string]string
}

// RefundInstruction is what we send to have money of a deposit given back.
type RefundInstruction struct {
	IdempotencyKey string
	TransactionID  uuid.UUID // the refund's own
	DepositID      uuid.UUID // the deposit that it gives back
	PaymentID      string    // the deposit's, at the provider
	Amount         money.Money
}

// Initiation is the provider's answer to a new payment.
type Initiation struct {
	PaymentID  string
	NextAction *NextAction // what the payer must do, nil when nothing
	// Report is the state of the payment at the time of the answer.
	Report PaymentReport
}

// NextAction is what a client does to go on with the payment, for example a redirect.
type NextAction struct {
	Type         string `json:"type"`
	URL          string `json:"url,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// PaymentRef names a payment by the provider's id, or by ours when PaymentID is empty.
type PaymentRef struct {
	Type          Type // TypeDeposit, TypeWithdraw or TypeRefund
	PaymentID     string
	TransactionID uuid.UUID
	Attempt       int
	CreatedAt     time.Time // ours, to look around it where the provider lists by time
}

// PaymentReport is what the provider says of a payment when asked. It becomes a PaymentReceivedEvent and
// takes the same path as a webhook, so that a fact has one effect however it was learned.
type PaymentReport struct {
	PaymentID     string
	TransactionID uuid.UUID // ours, as the provider kept it in its metadata; uuid.Nil when it did not
	Kind          ReceivedKind
	Amount        int64  // minor units of Currency, as the provider has it
	Currency      string // ISO 4217 as the provider sent it
	Failure       *Failure
	OccurredAt    time.Time
}
