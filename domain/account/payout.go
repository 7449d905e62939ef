package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// PaymentChecker is a provider that cannot carry every payment.
type PaymentChecker interface {
	// CheckPayment refuses, as errs.Refused, what the provider could not carry, and, as errs.Unavailable, what it is not to be
	// asked for at present. It does no I/O. It is asked before anything is stored.
	CheckPayment(kind Type, amount money.Money, paymentFlow string) error
}

// PayoutAccount is an account at a provider that one of our users has there to be paid out to.
type PayoutAccount struct {
	Provider string
	ID       string // the provider's
	UserID   uuid.UUID
	// Complete says that the user has given the provider all that it asked for; PayoutsEnabled that it pays out.
	Complete       bool
	PayoutsEnabled bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// PayoutAccounts is what is known of the accounts that our users have at providers. Methods block until the database
// answers; what is not there is errs.NotFound.
type PayoutAccounts interface {
	FindPayoutAccount(ctx context.Context, provider string, userID uuid.UUID) (PayoutAccount, error)
	FindPayoutAccountByID(ctx context.Context, provider, id string) (PayoutAccount, error)
	// ListPayoutAccounts returns up to limit accounts at the provider in the order of their ids there, from behind the id on; ""
	// begins with the first. None is the end.
	ListPayoutAccounts(ctx context.Context, provider, after string, limit int) ([]PayoutAccount, error)
	// AddPayoutAccount stores the account. Where the user has one at the provider already, that one stays and is returned.
	AddPayoutAccount(ctx context.Context, a PayoutAccount) (PayoutAccount, error)
	// UpdatePayoutAccount stores Complete, PayoutsEnabled and UpdatedAt.
	UpdatePayoutAccount(ctx context.Context, a PayoutAccount) error
}

// Onboarding is a provider that pays out to accounts that payees have there. Errors are of the classes of PaymentProvider.
type Onboarding interface {
	// CreatePayoutAccount opens an account for the user. The same key gives the same account.
	CreatePayoutAccount(ctx context.Context, key string, userID uuid.UUID) (PayoutAccount, error)
	// OnboardingLink is where the user goes to complete the account. It works once, for some minutes.
	OnboardingLink(ctx context.Context, key, id string) (url string, err error)
	// GetPayoutAccount asks the provider how far the account is. UserID is not set.
	GetPayoutAccount(ctx context.Context, id string) (PayoutAccount, error)
}

// DepositCount is how many deposits ended in one way.
type DepositCount struct{ OnAccount, FromAddress int }

// DepositFailures remembers where deposits were asked for from and counts how they end: whoever tries out stolen cards has many
// that fail.
type DepositFailures interface {
	// NoteOrigin stores the client's address with the transaction.
	NoteOrigin(ctx context.Context, transactionID uuid.UUID, address string, at time.Time) error
	// CountFailed counts deposits, and attempts at deposits, that failed on the account, and of what was asked for from the
	// address, since the time.
	CountFailed(ctx context.Context, accountID uuid.UUID, address string, since time.Time) (DepositCount, error)
	// CountCompleted counts those that were completed.
	CountCompleted(ctx context.Context, accountID uuid.UUID, address string, since time.Time) (DepositCount, error)
}
