package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// ReviewStatus is whether a review waits for somebody.
type ReviewStatus string

// The statuses of a review. Settled is an end.
const (
	ReviewOpen    ReviewStatus = "open"
	ReviewSettled ReviewStatus = "settled"
)

// ReviewReceivable is the kind of a review of what an account owes, ReviewDrift that of a
// difference to a provider's own list, and ReviewTakenAgain that of money that is said to be taken
// again after it had come back.
const (
	ReviewReceivable = "receivable"
	ReviewDrift      = "drift"
	ReviewTakenAgain = "taken_again"
)

// ReviewOutcome is what a person decided.
type ReviewOutcome string

// The outcomes of a review.
const (
	// OutcomeCreditAccount gives the money in suspense to an account.
	OutcomeCreditAccount ReviewOutcome = "credit_account"
	// OutcomeReturnToPayer has the provider give the money in suspense back to who paid it.
	OutcomeReturnToPayer ReviewOutcome = "return_to_payer"
	// OutcomeChargeAccount takes what an account owes from its balance, where that covers it.
	OutcomeChargeAccount ReviewOutcome = "charge_account"
	// OutcomeTakeBack takes again what had come back.
	OutcomeTakeBack ReviewOutcome = "take_back"
	// OutcomeWriteOff has us bear, or keep, what stands: a debt that will not be paid, money in suspense that is nobody's.
	OutcomeWriteOff ReviewOutcome = "write_off"
	// OutcomeDismiss books nothing. It is for reviews of which no money stands.
	OutcomeDismiss ReviewOutcome = "dismiss"
	// OutcomeDisappeared is the system's own: the difference was gone when the two sides were compared again.
	OutcomeDisappeared ReviewOutcome = "disappeared"
)

// Review is something that a person must decide. Records loaded by a unit of work are written when changed.
type Review struct {
	ID            uuid.UUID
	Kind          string
	TransactionID uuid.UUID // uuid.Nil for none
	InboxID       uuid.UUID // uuid.Nil for none
	Detail        string    // for people; no secret
	Status        ReviewStatus
	CreatedAt     time.Time

	// What follows is zero while it is open.
	SettledAt    time.Time
	SettledBy    string
	SettledWhy   string
	Outcome      ReviewOutcome
	SettlementID uuid.UUID // the transaction that booked the outcome, uuid.Nil for none
}

// ReviewFilter narrows a list of reviews. Zero fields do not.
type ReviewFilter struct {
	Status        ReviewStatus
	Kind          string
	TransactionID uuid.UUID
}

// Standing is the money that a review's transaction has put where a person must decide about it.
type Standing struct {
	// Suspense is what went into suspense: above zero money of somebody else, below zero a loss. The zero Money for none.
	Suspense money.Money
	// Receivable is what the transaction has made its account owe; some of that may have been paid since. The zero Money for none.
	Receivable money.Money
}

// Reviews is what is read of reviews, outside of any unit of work.
type Reviews interface {
	// FindReviews lists them, newest first.
	FindReviews(ctx context.Context, filter ReviewFilter, page Page) ([]Review, error)
	// FindReview returns one. errs.NotFound.
	FindReview(ctx context.Context, id uuid.UUID) (Review, error)
	// FindAnyTransaction returns a transaction whoever's it is. errs.NotFound.
	FindAnyTransaction(ctx context.Context, id uuid.UUID) (*Transaction, error)
	// FindStanding adds up what the entries of a transaction have put in suspense and on receivable.
	FindStanding(ctx context.Context, transactionID uuid.UUID) (Standing, error)
}
