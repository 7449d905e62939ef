package account

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/fx"
	"florin/domain/money"
)

// Type is what a transaction is.
type Type string

// The types of a transaction.
const (
	TypeDeposit   Type = "deposit"
	TypeWithdraw  Type = "withdraw"
	TypeTransfer  Type = "transfer"
	TypeUnmatched Type = "unmatched"

	// What follows a transaction and is linked to it.
	TypeRefund             Type = "refund"
	TypeRefundReversal     Type = "refund_reversal"
	TypeChargeback         Type = "chargeback"
	TypeChargebackReversal Type = "chargeback_reversal"
	TypePayoutReturn       Type = "payout_return"
	TypeCorrection         Type = "correction"
	TypeFee                Type = "fee" // ours alone
)

// ProviderInternal is the label of a transaction that asks no provider.
const ProviderInternal = "internal"

// What follows a payment names in MoneySource where its money comes from, where that is not the
// payment itself. Only what comes of the payment counts against what the payment has brought.
const (
	SourceSuspense   = "suspense"   // what came with the payment and belongs to nobody yet
	SourceReceivable = "receivable" // nothing of the payment was left: the account owes it
	SourceBalance    = "balance"    // nothing of it was left, and the account has paid for it
)

// ErrIllegalMove is a move that the state machine does not have.
var ErrIllegalMove = errors.New("illegal move of a transaction")

// Failure is why a transaction failed, in words for its owner.
type Failure struct {
	Code    string
	Message string
}

// ExternalTarget is where a withdrawal is paid to. It is written down with the hold and never changed.
type ExternalTarget struct {
	BankAccountNumber     string
	RoutingNumber         string
	ExternalWalletAddress string
	// ProviderAccount is the account at the provider that the payee has onboarded; it is not the client's to name.
	ProviderAccount string
}

// IsZero says that no target is given.
func (t ExternalTarget) IsZero() bool { return t == ExternalTarget{} }

// Masked is the target as it may be shown: the last four characters of each part, or fewer where a part is
// so short that four would tell most of it.
func (t ExternalTarget) Masked() ExternalTarget {
	return ExternalTarget{mask(t.BankAccountNumber), mask(t.RoutingNumber), mask(t.ExternalWalletAddress), mask(t.ProviderAccount)}
}

// String masks, so that a target that strays into a log tells nothing.
func (t ExternalTarget) String() string { return fmt.Sprintf("%+v", t.Masked().parts()) }

// GoString masks as String does.
func (t ExternalTarget) GoString() string { return t.String() }

func (t ExternalTarget) parts() [4]string {
	return [4]string{t.BankAccountNumber, t.RoutingNumber, t.ExternalWalletAddress, t.ProviderAccount}
}

func mask(s string) string {
	r := []rune(s)
	switch {
	case len(r) == 0:
		return ""
	case len(r) <= 4:
		return strings.Repeat("*", 4)
	default:
		return "****" + string(r[len(r)-4:])
	}
}

// Transaction is one movement of money, from the asking to the end. Its status moves only through Move.
// A transfer is one transaction: AccountID is the sender's, CounterpartyID the receiver's.
type Transaction struct {
	ID        uuid.UUID
	Type      Type
	UserID    uuid.UUID // uuid.Nil for what is ours alone
	AccountID uuid.UUID // uuid.Nil for what is ours alone
	Amount    money.Money
	// Posted is what the account was or will be changed by, in its own currency; positive.
	Posted             money.Money
	CounterpartyID     uuid.UUID
	CounterpartyPosted money.Money
	// Received is what the provider reports where it differs from Amount.
	Received   *money.Money
	Conversion *fx.Conversion

	Provider    string
	PaymentID   string
	PaymentFlow string
	NextAction  *NextAction // what the payer must do; nil once the transaction has ended
	MoneySource string
	Target      *ExternalTarget
	LinkedID    uuid.UUID
	Metadata    map[string]string

	// Attempt is the number of the provider attempt; with the id it makes the provider's idempotency key.
	Attempt int
	// Tries counts how often the sweep has looked; Fence rises with each, so that a slower one is noticed.
	Tries int
	Fence int64
	// NextAttemptAt is when the sweep looks (again); zero exactly when the status is terminal.
	NextAttemptAt time.Time
	// ExpiresAt is when an open payment is canceled at the provider and then failed.
	ExpiresAt time.Time

	RequestID   string
	TraceParent string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	CompletedAt time.Time

	status  PaymentStatus
	version int
	failure *Failure
}

// Status is where the transaction stands.
func (t *Transaction) Status() PaymentStatus { return t.status }

// Version is the number of moves made: the Seq of the last event.
func (t *Transaction) Version() int { return t.version }

// Failure is why the transaction failed, nil unless it did.
func (t *Transaction) Failure() *Failure { return t.failure }

// Direction is "in" or "out" as the account sees it.
func (t *Transaction) Direction(accountID uuid.UUID) string {
	switch t.Type {
	case TypeDeposit, TypeRefundReversal, TypeChargebackReversal, TypePayoutReturn:
		return "in"
	case TypeCorrection:
		// what a provider corrects is taken back, what we settle is given
		if t.IsSettlement() && t.MoneySource == "" {
			return "in"
		}
	case TypeTransfer:
		if accountID == t.CounterpartyID {
			return "in"
		}
	}
	return "out"
}

// IsSettlement says that the transaction books a person's decision on a review.
func (t *Transaction) IsSettlement() bool {
	return t.Type == TypeCorrection && t.Provider == ProviderInternal
}

// RestoreStatus puts a transaction read from the store where it stood. It is for stores alone.
func (t *Transaction) RestoreStatus(status PaymentStatus, version int, failure *Failure) {
	t.status, t.version, t.failure = status, version, failure
}

// Move takes the transaction to the status and returns the event that records it, with the next Seq. A move
// to Failed wants a failure. Where the state machine has no such step it returns ErrIllegalMove and changes
// nothing. The event's time never runs backwards.
func (t *Transaction) Move(to PaymentStatus, now time.Time, cause Cause, failure *Failure) (PaymentEvent, error) {
	if !CanMove(t.status, to) {
		return PaymentEvent{}, fmt.Errorf("transaction %s from %q to %q: %w", t.ID, t.status, to, ErrIllegalMove)
	}
	if (to == PaymentStatusFailed) != (failure != nil) {
		return PaymentEvent{}, fmt.Errorf("transaction %s to %q with failure %v: %w", t.ID, to, failure, ErrIllegalMove)
	}
	at := now
	if at.Before(t.UpdatedAt) {
		at = t.UpdatedAt
	}
	from := t.status
	t.status, t.failure, t.UpdatedAt = to, failure, at
	t.version++
	if to.Terminal() {
		// Nobody can act on a payment that has ended, and what they would have acted with is a
		// secret.
		t.NextAttemptAt, t.NextAction = time.Time{}, nil
	}
	if to == PaymentStatusCompleted {
		t.CompletedAt = at
	}
	return t.event(from, at, cause)
}

func (t *Transaction) event(from PaymentStatus, at time.Time, cause Cause) (PaymentEvent, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return PaymentEvent{}, fmt.Errorf("event id: %w", err)
	}
	e := PaymentEvent{
		EventID:       id.String(),
		TransactionID: t.ID.String(),
		Amount:        t.Amount.Minor(),
		Currency:      t.Amount.Currency().Code(),
		Status:        t.status,
		Provider:      t.Provider,
		Timestamp:     at.Unix(),
		Metadata:      map[string]string{OperationKey: string(t.Type)},
		Seq:           t.version,
		From:          from,
		Cause:         cause,
		At:            at,
		TraceParent:   t.TraceParent,
	}
	if t.AccountID != uuid.Nil {
		e.AccountID, e.UserID = t.AccountID.String(), t.UserID.String()
		e.Direction = t.Direction(t.AccountID)
	}
	return e, nil
}

// ProviderKey is the idempotency key of one step at the provider. It is derived, never random: the same step of
// the same attempt always has the same key.
func (t *Transaction) ProviderKey(step string) string {
	return fmt.Sprintf("florin_%s_%d_%s", t.ID, t.Attempt, step)
}

// Clone is a copy that shares nothing that Move or a chain changes.
func (t *Transaction) Clone() *Transaction {
	c := *t
	if t.Received != nil {
		received := *t.Received
		c.Received = &received
	}
	return &c
}
