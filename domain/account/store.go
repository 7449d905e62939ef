package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/currency"
	"florin/domain/ledger"
	"florin/domain/money"
)

// Ledger is where all writing of the payment flow goes through: one closure, one unit of work.
type Ledger interface {
	// Do loads what needs names, runs fn on it, and commits what fn changed, all or nothing. Transactions are locked
	// by id, then accounts by id. fn may run more than once, each time on fresh copies and never at the same time as
	// itself, so it must have no effect beside the unit of work and must take its ids from outside. It must not block.
	// When it returns an error, nothing is written and the error comes back as it is. A panic in fn is returned as an
	// error. Lost races are run again; errs.Unavailable where the database is down, overloaded or the outcome stays unknown.
	Do(ctx context.Context, needs Needs, fn func(ctx context.Context, u UnitOfWork) error) error
}

// Needs names what a unit of work loads before its closure runs.
type Needs struct {
	// Key is the idempotency key, nil for none.
	Key *uuid.UUID
	// Inbox names a provider's event, nil for none.
	Inbox *InboxKey
	// Effects are looked up, not locked.
	Effects []EffectKey
	// Transactions are locked, with their holds and with the accounts they speak of.
	Transactions []uuid.UUID
	// Families are transactions of which all that follows them is loaded and locked as well, under the lock of the one that is
	// followed. They must be among Transactions. Whoever changes what follows a transaction names it here.
	Families []uuid.UUID
	// Accounts are locked too.
	Accounts []uuid.UUID
	// Review is locked; uuid.Nil for none.
	Review uuid.UUID
	// OpenPayments asks, under the accounts' locks, whether payments on them are still open.
	OpenPayments bool
	// DepositsOf and AccountsOf are users of whom it is asked how many deposits, or accounts, they
	// have open; uuid.Nil for none. Of units that ask about the same user one runs at a time.
	DepositsOf, AccountsOf uuid.UUID
}

// UnitOfWork is what one operation sees and changes. What it returns is the operation's own copy; accounts,
// transactions and holds that were changed in place are written at commit, in the same commit as all that was added.
type UnitOfWork interface {
	Transaction(id uuid.UUID) (*Transaction, bool)
	Account(id uuid.UUID) (*Account, bool)
	Hold(transactionID uuid.UUID) (*Hold, bool)
	Key() (*IdempotencyRecord, bool)
	Inbox() (*InboxRecord, bool)
	Effect(key EffectKey) bool
	// Review is the one that Needs.Review names.
	Review() (*Review, bool)
	// Followers are the transactions that point to the one named, in the order of their ids; it wants Needs.Families.
	Followers(transactionID uuid.UUID) []*Transaction
	// OpenPayments says whether a payment on the account is still open; it wants Needs.OpenPayments.
	OpenPayments(accountID uuid.UUID) bool
	// OpenDeposits and OpenAccounts are how many the user has open who is named by Needs.DepositsOf,
	// by Needs.AccountsOf.
	OpenDeposits() int
	OpenAccounts() int

	AddAccount(*Account)
	AddTransaction(*Transaction)
	AddPosting(transactionID uuid.UUID, posting ledger.Posting)
	AddHold(*Hold)
	AddEvent(PaymentEvent)
	AddKey(IdempotencyRecord)
	AddInbox(InboxRecord)
	AddEffect(Effect)
	AddReview(Review)
	AddDeadLetter(DeadLetter)
	AddProviderCall(ProviderCall)
	AddAudit(Audit)
}

// IdempotencyRecord is what is kept of a client's Idempotency-Key, for ever. Records loaded by a unit of work
// are written when changed, guarded by the Fence they were loaded with.
type IdempotencyRecord struct {
	Hash        uuid.UUID // 16 bytes of a hash of user and key
	UserID      uuid.UUID
	Fingerprint string // of method, route, ids and canonical body
	ResourceID  uuid.UUID
	Fence       int64
	LockedUntil time.Time // zero when finished
	Answer      *Answer   // nil until finished, and again after its retention
	CreatedAt   time.Time
	FinishedAt  time.Time
}

// Answer is the first answer to a request, kept to be given again.
type Answer struct {
	Status int
	Body   []byte
}

// InboxKey names an event of a provider.
type InboxKey struct {
	Provider string
	EventID  string
}

// InboxStatus is what became of an event.
type InboxStatus string

// The statuses of an inbox row. Received and Parked are worked on; the others are ends.
const (
	InboxReceived    InboxStatus = "received"
	InboxProcessed   InboxStatus = "processed"
	InboxIgnored     InboxStatus = "ignored"
	InboxParked      InboxStatus = "parked"
	InboxQuarantined InboxStatus = "quarantined"
	InboxDead        InboxStatus = "dead"
	InboxDiscarded   InboxStatus = "discarded"
	// InboxForeign is how an event of another program on the same account at the provider is
	// counted. Its row is ignored.
	InboxForeign InboxStatus = "foreign"
)

// InboxRecord is one event that a provider told us, with what became of it. Records loaded by a unit of work
// are written when changed.
type InboxRecord struct {
	ID            uuid.UUID
	Event         PaymentReceivedEvent
	Status        InboxStatus
	Reason        string
	Tries         int
	Fence         int64
	NextAttemptAt time.Time // zero unless received or parked
	TraceParent   string
	ReceivedAt    time.Time
	ProcessedAt   time.Time
}

// EffectKey names one fact of a provider that had an effect here.
type EffectKey struct {
	Provider string
	Ref      string // the payment, refund, dispute or payout that the fact is about
	Effect   string // "completed", "failed", "refunded", …
}

// Effect is a fact that had its effect, once.
type Effect struct {
	EffectKey
	TransactionID uuid.UUID
	CreatedAt     time.Time
}

// ProviderCall is one call to a provider, for the timeline.
type ProviderCall struct {
	ID            uuid.UUID
	TransactionID uuid.UUID
	Attempt       int
	Operation     string // "initiate_deposit", "get_payment_status", …
	Outcome       string // "accepted", "completed", "refused: declined", "unknown", …
	TraceParent   string
	StartedAt     time.Time
	EndedAt       time.Time
}

// Audit is one act that must stay known.
type Audit struct {
	ID        uuid.UUID
	Actor     string // a user id, "operator" or "system"
	Action    string
	Subject   string
	Reason    string
	Detail    string
	IP        string
	RequestID string
	At        time.Time
}

// Books is what the use cases read, outside of any unit of work. What is not there is errs.NotFound.
type Books interface {
	// FindAccount returns the account if it is the user's.
	FindAccount(ctx context.Context, userID, accountID uuid.UUID) (*Account, error)
	// FindAccounts lists the user's accounts, newest first, below the cursor (uuid.Nil for the start).
	FindAccounts(ctx context.Context, userID uuid.UUID, page Page) ([]*Account, error)
	// SumAccounts adds up the user's accounts per currency, ordered by currency code.
	SumAccounts(ctx context.Context, userID uuid.UUID) ([]Total, error)
	// PostedAt is what was posted on the account at a past time: the balance after its last entry not later than that.
	PostedAt(ctx context.Context, a *Account, at time.Time) (money.Money, error)
	// ExplainAccount returns what makes the balance of the user's account, in one snapshot.
	ExplainAccount(ctx context.Context, userID, accountID uuid.UUID) (*Explanation, error)
	// FindTransaction returns a transaction that the user can read: the owner's of either side.
	// Side is the account of the user that it is seen from: the sender's where both are the user's.
	FindTransaction(ctx context.Context, userID, transactionID uuid.UUID) (t *Transaction, side uuid.UUID, err error)
	// FindTransactions lists the transactions of one account, newest first.
	FindTransactions(ctx context.Context, accountID uuid.UUID, filter TransactionFilter, page Page) ([]*Transaction, error)
	// FindEntries lists the ledger lines of one account, newest first by AccountSeq, below the cursor (0 for the start).
	FindEntries(ctx context.Context, accountID uuid.UUID, filter EntryFilter) ([]EntryLine, error)
	// FindTransactionByPayment returns the transaction that a provider's payment belongs to.
	FindTransactionByPayment(ctx context.Context, provider, paymentID string) (*Transaction, error)
	// FindFollowUp returns what follows a payment by the provider's id of it: of a refund, a dispute.
	FindFollowUp(ctx context.Context, provider, ref string) (*Transaction, error)
	// FindTimeline is all that is known of a transaction, in order of time.
	FindTimeline(ctx context.Context, transactionID uuid.UUID) ([]TimelineItem, error)
	// TransactionStatus is the current status of any transaction, for those who wait on it.
	TransactionStatus(ctx context.Context, transactionID uuid.UUID) (PaymentStatus, error)
}

// Page is a part of a list: at most Limit rows of those that come after the row Before.
type Page struct {
	Before uuid.UUID // uuid.Nil for the start
	Limit  int
}

// TransactionFilter narrows a list of transactions. Zero fields do not.
type TransactionFilter struct {
	Type     Type
	Status   PaymentStatus
	From, To time.Time // created at or after From, before To
}

// EntryFilter narrows and pages a list of ledger lines. Zero fields do not.
type EntryFilter struct {
	BeforeSeq int64
	From, To  time.Time
	Limit     int
}

// EntryLine is a ledger line as its account's owner sees it.
type EntryLine struct {
	TransactionID   uuid.UUID
	TransactionType Type
	AccountSeq      int64
	Amount          money.Money // signed
	BalanceAfter    money.Money
	PostedAt        time.Time
}

// Total is the sum of a user's accounts in one currency.
type Total struct {
	Currency     currency.Currency
	Posted, Held money.Money
}

// TimelineItem is one thing that happened to a transaction.
type TimelineItem struct {
	At          time.Time
	Kind        string // "api_call", "provider_call", "webhook", "listing", "state_change", "entry", "linked"
	Summary     string
	Detail      map[string]string
	TraceParent string
}

// Due is the open work that the sweep and the inbox worker take up. Claiming moves the next attempt to `until` and
// raises the fence, in one statement, so that of several servers one gets each row.
type Due interface {
	// ClaimTransactions claims open transactions that are due at now. until gets the number of tries made so far.
	ClaimTransactions(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]*Transaction, error)
	// ClaimInbox claims events that are due at now.
	ClaimInbox(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]*InboxRecord, error)
}

// Clock is the time, UTC with microseconds.
type Clock func() time.Time
