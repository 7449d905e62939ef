package account

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// ReviewDetail is a review with what it is about, and what can be decided.
type ReviewDetail struct {
	Review      account.Review
	Transaction *account.Transaction // nil where it is about none
	// Standing is the money that waits for the decision: above zero it is somebody's, below zero it is lost. The zero Money where
	// none stands.
	Standing money.Money
	// Outcomes are those that may be decided, none once it is settled.
	Outcomes []account.ReviewOutcome
}

// Reviews lists reviews, newest first.
func (s *Service) Reviews(ctx context.Context, filter account.ReviewFilter, page account.Page) ([]account.Review, error) {
	return s.reviews.FindReviews(ctx, filter, page)
}

// Review returns one with what can be decided. errs.NotFound.
func (s *Service) Review(ctx context.Context, id uuid.UUID) (ReviewDetail, error) {
	found, err := s.findCase(ctx, id)
	if err != nil {
		return ReviewDetail{}, err
	}
	var detail ReviewDetail
	err = s.ledger.Do(ctx, found.needs(), func(_ context.Context, u account.UnitOfWork) error {
		detail, err = s.detailOf(u, found)
		return err
	})
	return detail, err
}

// reviewCase is a review with what is read of it outside of a unit of work. Entries are never changed, so what they say holds in any.
type reviewCase struct {
	review      account.Review
	transaction *account.Transaction // nil for none
	standing    account.Standing     // of the transaction's own entries
	deposit     uuid.UUID            // whose money is said to be taken again, for ReviewTakenAgain
}

func (s *Service) findCase(ctx context.Context, id uuid.UUID) (reviewCase, error) {
	var c reviewCase
	var err error
	if c.review, err = s.reviews.FindReview(ctx, id); err != nil || c.review.TransactionID == uuid.Nil {
		return c, err
	}
	if c.transaction, err = s.reviews.FindAnyTransaction(ctx, c.review.TransactionID); err != nil {
		return c, err
	}
	of := c.transaction
	if outOfPot(of) { // what is decided about is the money that it was taken from
		if of, err = s.reviews.FindAnyTransaction(ctx, of.LinkedID); err != nil {
			return c, err
		}
	}
	if c.review.Kind == account.ReviewTakenAgain {
		c.deposit = of.LinkedID
	} else {
		c.transaction = of
	}
	c.standing, err = s.reviews.FindStanding(ctx, c.transaction.ID)
	return c, err
}

func (c reviewCase) needs() account.Needs {
	needs := account.Needs{Review: c.review.ID}
	if c.transaction != nil {
		needs.Transactions = []uuid.UUID{c.transaction.ID}
		needs.Families = needs.Transactions
	}
	if c.deposit != uuid.Nil {
		needs.Transactions = []uuid.UUID{c.deposit}
		needs.Families = needs.Transactions
	}
	return needs
}

// settledFrom is the member of a settlement's metadata that says where its money stood.
const settledFrom = "settled_from"

// detailOf says under the locks what stands and what may be decided.
func (s *Service) detailOf(u account.UnitOfWork, c reviewCase) (ReviewDetail, error) {
	review, ok := u.Review()
	if !ok {
		return ReviewDetail{}, ErrInconsistent
	}
	d := ReviewDetail{Review: *review, Transaction: c.transaction}
	if review.Status != account.ReviewOpen {
		return d, nil
	}
	var err error
	if d.Standing, err = standing(u, c); err != nil {
		return ReviewDetail{}, err
	}
	switch {
	case c.deposit != uuid.Nil:
		d.Outcomes = []account.ReviewOutcome{account.OutcomeDismiss}
		if again, err := s.takingAgain(u, c, nil); err == nil && again.event.Amount > 0 {
			d.Outcomes = []account.ReviewOutcome{account.OutcomeTakeBack, account.OutcomeDismiss}
		}
	case d.Standing.IsZero():
		d.Outcomes = []account.ReviewOutcome{account.OutcomeDismiss}
	case review.Kind == account.ReviewReceivable && covers(u, c.transaction.AccountID, d.Standing):
		d.Outcomes = []account.ReviewOutcome{account.OutcomeChargeAccount, account.OutcomeWriteOff}
	case review.Kind == account.ReviewReceivable || d.Standing.Sign() < 0:
		d.Outcomes = []account.ReviewOutcome{account.OutcomeWriteOff}
	default:
		d.Outcomes = []account.ReviewOutcome{account.OutcomeCreditAccount, account.OutcomeWriteOff}
		if c.transaction.Type == account.TypeUnmatched && c.transaction.PaymentID != "" {
			d.Outcomes = append(d.Outcomes, account.OutcomeReturnToPayer)
		}
	}
	return d, nil
}

// covers says whether so much is available on the account.
func covers(u account.UnitOfWork, accountID uuid.UUID, amount money.Money) bool {
	a, ok := u.Account(accountID)
	if !ok {
		return false
	}
	order, err := a.Available().Cmp(amount)
	return err == nil && order >= 0
}

// standing is the money that waits for the decision: what the account still owes of what the transaction has made it owe, or what of
// the transaction's money is in suspense and was not settled before.
func standing(u account.UnitOfWork, c reviewCase) (money.Money, error) {
	if c.transaction == nil {
		return money.Money{}, nil
	}
	if c.review.Kind == account.ReviewReceivable {
		if c.standing.Receivable.IsZero() {
			return c.standing.Receivable, nil
		}
		a, ok := u.Account(c.transaction.AccountID)
		if !ok {
			return money.Money{}, ErrInconsistent
		}
		order, err := a.Owed().Cmp(c.standing.Receivable)
		if err != nil || order < 0 {
			return a.Owed(), err
		}
		return c.standing.Receivable, nil
	}
	return unsettled(u, c.transaction, c.standing.Suspense)
}
