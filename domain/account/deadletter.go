package account

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"florin/domain/cards"
	"florin/domain/errs"
)

// DeadLetterSource says where a dead letter comes from.
type DeadLetterSource string

// The sources of dead letters.
const (
	// DeadInbox is an event of a provider that could not be applied. SourceID is its row of the inbox.
	DeadInbox DeadLetterSource = "inbox"
	// DeadSubscriber is an event that a subscriber could not take. SourceID is the event's id, SourceName the subscriber's name.
	DeadSubscriber DeadLetterSource = "subscriber"
	// DeadDelivery is a message that could not be delivered. SourceID is its own, SourceName the channel: "email", "webhook".
	DeadDelivery DeadLetterSource = "delivery"
)

// DeadLetterStatus is what became of a dead letter.
type DeadLetterStatus string

// The statuses of a dead letter. Open waits for somebody; a redriven event that a subscriber fails again is open again.
const (
	DeadLetterOpen      DeadLetterStatus = "open"
	DeadLetterRedriven  DeadLetterStatus = "redriven"
	DeadLetterDiscarded DeadLetterStatus = "discarded"
)

// DeadLetter is what could not be worked off, with the reason. At most one per Source, SourceName and SourceID is open.
type DeadLetter struct {
	ID         uuid.UUID
	Source     DeadLetterSource
	SourceName string // "" for the inbox
	SourceID   uuid.UUID
	// TransactionID is uuid.Nil where it is not known.
	TransactionID uuid.UUID
	Reason        string // a stable code
	LastError     string // for people; no secret
	Tries         int
	// Payload is what was to be worked off, as the source keeps it. It may hold what a provider or a client wrote.
	Payload   string
	Status    DeadLetterStatus
	CreatedAt time.Time
	// What follows is zero while it is open.
	SettledAt  time.Time
	SettledBy  string
	SettledWhy string
}

// DeadLetterFilter narrows a list of dead letters. Zero fields do not.
type DeadLetterFilter struct {
	Source        DeadLetterSource
	SourceName    string
	Status        DeadLetterStatus
	TransactionID uuid.UUID
}

// DeadLetterCount is how many dead letters of a source are open, and since when the oldest.
type DeadLetterCount struct {
	Source     DeadLetterSource
	SourceName string
	Open       int64
	Oldest     time.Time
}

// Operator is who settles something, and why: the audit keeps all of it.
type Operator struct {
	Name    string // a user's id, or "operator:" and a name of the machine
	Reason  string
	Address string // the client's network address, "" for a command
	Request string // the request's id, "" for a command
}

// maxReasonRunes bounds the reason that the audit keeps.
const maxReasonRunes = 500

// CheckReason is errs.Refused "reason_required", "invalid_reason" or "card_number": one line of 1 to
// 500 characters.
func (o Operator) CheckReason() error {
	switch {
	case strings.TrimSpace(o.Reason) == "":
		return errs.InField("reason", "reason_required", "Say why, for the audit.")
	case utf8.RuneCountInString(o.Reason) > maxReasonRunes || strings.ContainsFunc(o.Reason, unicode.IsControl):
		return errs.InField("reason", "invalid_reason", "A reason is one line of at most 500 characters.")
	case cards.Holds(o.Reason):
		return errs.InField("reason", "card_number", "The reason looks like the number of a payment card.")
	}
	return nil
}

// DeadLetters is the store of what could not be worked off.
type DeadLetters interface {
	// AddDeadLetter stores an open one in a commit of its own, and answers false where one of its source is open already.
	AddDeadLetter(ctx context.Context, d DeadLetter) (added bool, err error)
	// FindDeadLetters lists them, newest first.
	FindDeadLetters(ctx context.Context, filter DeadLetterFilter, page Page) ([]DeadLetter, error)
	// FindDeadLetter returns one. errs.NotFound.
	FindDeadLetter(ctx context.Context, id uuid.UUID) (DeadLetter, error)
	// CountDeadLetters counts the open ones by source and name, in their order.
	CountDeadLetters(ctx context.Context) ([]DeadLetterCount, error)
	// Redrive makes what it is about due again, with all its tries, for whichever server takes it up; one commit with the
	// audit. errs.NotFound; errs.Conflict "already_settled" or "not_dead"; errs.Refused "reason_required".
	Redrive(ctx context.Context, id uuid.UUID, by Operator) error
	// Discard gives it up. Errors as Redrive.
	Discard(ctx context.Context, id uuid.UUID, by Operator) error
}

// RedrivenEvents are the subscribers' dead letters that are redriven and were not handed over yet.
type RedrivenEvents interface {
	// ClaimRedriven claims those of the named subscribers that are due at now, the oldest of each transaction first and
	// only once nothing older of it waits. Claiming moves the next attempt to until and raises the fence.
	ClaimRedriven(ctx context.Context, subscribers []string, now, until time.Time, limit int) ([]RedrivenEvent, error)
	// FinishRedriven ends one that was handled. It does nothing where a later claim has it.
	FinishRedriven(ctx context.Context, e RedrivenEvent) error
	// ReopenRedriven makes one that failed again an open dead letter, with its new error.
	ReopenRedriven(ctx context.Context, e RedrivenEvent, lastError string) error
	// HeldTransactions are those of which the subscriber has a dead letter that is open or not handed over yet.
	HeldTransactions(ctx context.Context, subscriber string) ([]uuid.UUID, error)
}

// RedrivenEvent is a dead letter as it was claimed.
type RedrivenEvent struct {
	DeadLetter
	Fence int64
}
