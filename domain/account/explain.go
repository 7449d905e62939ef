package account

import (
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// The bounds of an explanation.
const (
	// ExplainedEntries is how many entries are added up by kind; older ones are one line.
	ExplainedEntries = 10_000
	// ExplainedNewest is how many entries are told one by one.
	ExplainedNewest = 10
	// ExplainedHolds is how many holds are told one by one.
	ExplainedHolds = 100
)

// Explanation is what makes the figures of a balance, all of one moment.
type Explanation struct {
	Account *Account
	// Kinds add up, with Earlier, to what is posted.
	Kinds []EntryKind
	// Earlier is what the entries before the newest ExplainedEntries come to, and how many they are.
	Earlier      money.Money
	EarlierCount int64
	// Newest are the last entries, the newest first.
	Newest []EntryLine
	// Holds are active, the oldest first; OtherHolds is what those come to that are not told one by one.
	Holds           []ExplainedHold
	OtherHolds      money.Money
	OtherHoldsCount int64
}

// EntryKind is what the entries of one type of transaction come to, in one direction.
type EntryKind struct {
	Type   Type
	In     bool
	Count  int64
	Amount money.Money // signed
}

// ExplainedHold is an active hold with the open step of its transaction.
type ExplainedHold struct {
	TransactionID uuid.UUID
	Type          Type
	Status        PaymentStatus
	Provider      string
	Amount        money.Money
	// Sent says that the provider has it: what comes next is its answer. Otherwise it is to be sent.
	Sent          bool
	CreatedAt     time.Time
	NextAttemptAt time.Time // zero where nothing is due
}
