package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// PaymentChecker is a provider that cannot carry every payment.
type PaymentChecker interface {
	// CheckPayment refuses, as errs.Refused, what the provider could not carry, and, as
	// errs.Unavailable, what it is not to be asked for at present. It does no I/O. It is asked
	// before anything is stored.
	CheckPayment(kind Type, amount money.Money, paymentFlow string) error
}

// PayoutAccount is an account at a provider that one of our users has there to be paid out to.
type PayoutAccount struct {
	Provider string
	ID       string // the provider's
	UserID   uuid.UUID
	// Complete says that the user has given the provider all that it asked for; PayoutsEnabled that
	// it pays out.
	Complete       bool
	PayoutsEnabled bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// PayoutAccounts is what is known of the accounts that our users have at providers. Methods block
// until the database answers; what is not there is errs.NotFound.
type PayoutAccounts interface {
	FindPayoutAccount(ctx context.Context, provider string, userID uuid.UUID) (PayoutAccount, error)
	FindPayoutAccountByID(ctx context.Context, provider, id string) (PayoutAccount, error)
	// ListPayoutAccounts returns up to limit accounts at the provider in the order of their ids
	// there, from behind the id on; "" begins with the first. None is the end.
	ListPayoutAccounts(ctx context.Context, provider, after string, limit int) ([]PayoutAccount, error)
	// AddPayoutAccount stores the account. Where the user has one at the provider already, that one
	// stays and is returned.
	AddPayoutAccount(ctx context.Context, a PayoutAccount) (PayoutAccount, error)
	// UpdatePayoutAccount stores Complete, PayoutsEnabled and UpdatedAt.
	UpdatePayoutAccount(ctx context.Context, a PayoutAccount) error
}

// Onboarding is a provider that pays out to accounts that payees have there. Errors are of the
// classes of PaymentProvider.
type Onboarding interface {
	// CreatePayoutAccount opens an account for the user. The same key gives the same account.
	CreatePayoutAccount(ctx context.Context, key string, userID uuid.UUID) (PayoutAccount, error)
	// OnboardingLink is where the user goes to complete the account. It works once, for some
	// minutes.
	OnboardingLink(ctx context.Context, key, id string) (url string, err error)
	// GetPayoutAccount asks the provider how far the account is. UserID is not set.
	GetPayoutAccount(ctx context.Context, id string) (PayoutAccount, error)
}

// DepositCount is how many deposits ended in one way.
type DepositCount struct {
	OfUser, FromAddress int
	// OfCard is of the cards that failed for the user the one that failed most often, for anybody.
	OfCard int
}

// CardFailure is that a payment was refused for a card.
type CardFailure struct {
	Provider      string
	EventID       string
	TransactionID uuid.UUID
	UserID        uuid.UUID
	// Card is the provider's own name of it.
	Card string
	At   time.Time
}

// DepositFailures remembers where deposits were asked for from and which cards failed, and counts
// how deposits end: whoever tries out stolen cards has many that fail.
type DepositFailures interface {
	// NoteOrigin stores the client's address with the transaction.
	NoteOrigin(ctx context.Context, transactionID uuid.UUID, address string, at time.Time) error
	// NoteCard stores a failure, once for each event.
	NoteCard(ctx context.Context, f CardFailure) error
	// CountFailed counts deposits, and attempts at deposits, that were declined: on any account of
	// the user, and of what was asked for from the address, since the time. What somebody gave up
	// is none of them.
	CountFailed(ctx context.Context, userID uuid.UUID, address string, since time.Time) (DepositCount, error)
	// CountCompleted counts those that were completed; OfCard is 0.
	CountCompleted(ctx context.Context, userID uuid.UUID, address string, since time.Time) (DepositCount, error)
	// CallIn moves the deadline of the user's open deposits at the provider to the time, so that
	// they are canceled there, and returns how many.
	CallIn(ctx context.Context, provider string, userID uuid.UUID, at time.Time) (int, error)
}
