package account

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/money"
	"florin/pkg/crashpoint"
)

// RefundRequest asks for money of a completed deposit to be given back to its payer.
type RefundRequest struct {
	Call
	// DepositID is the deposit. The account, the provider and the currency are the deposit's; Amount "" is all that is left.
	DepositID uuid.UUID
}

var (
	errNotRefundable   = errs.New(errs.Conflict, "not_refundable", "Only a completed deposit of which something is left can be refunded.")
	errRefundExceeds   = errs.InField("amount", "refund_exceeds_payment", "The amount is more than what is left of the deposit.")
	errNothingToRefund = errs.New(errs.Conflict, "not_refundable", "Nothing of the deposit is left to be refunded.")
)

// RefundTransaction holds the amount like a withdrawal and asks the provider to give it back. The hold becomes a debit when the
// provider confirms, and is released when it fails. It blocks as Deposit does. It refuses with account.ErrInsufficientFunds,
// account.ErrAccountInDebt, errs.NotFound, and errs.Conflict where the deposit is not one that can be refunded.
func (s *Service) RefundTransaction(ctx context.Context, r RefundRequest) (Outcome, error) {
	deposit, _, err := s.books.FindTransaction(ctx, r.UserID, r.DepositID)
	if err != nil {
		return Outcome{}, err
	}
	if deposit.UserID != r.UserID || deposit.Type != account.TypeDeposit {
		return Outcome{}, errNotRefundable
	}
	r.AccountID, r.Provider, r.Currency = deposit.AccountID, deposit.Provider, deposit.Amount.Currency().Code()
	provider, err := s.providers.Named(r.Provider)
	if err != nil {
		return Outcome{}, err
	}
	var amount money.Money
	if r.Amount != "" {
		if amount, err = s.readAmount(r.Call); err != nil {
			return Outcome{}, err
		}
	}
	crashpoint.Hit(crashpoint.RequestParsed)
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome{}, err
	}
	key := s.keyOf(r.Call, id)
	out, err := s.beginRefund(ctx, r, id, amount, key)
	if errors.Is(err, errDryRun) {
		return out, nil
	}
	if err != nil || out.Answer != nil {
		return out, err
	}
	if out.Transaction == nil {
		return s.currentState(ctx, r.Call, key)
	}
	crashpoint.Hit(crashpoint.RequestCommitted)
	s.meter.Moved(account.TypeRefund, "", account.PaymentStatusInitiated)
	s.callProvider(ctx, &out, provider, key, r.Wait > 0)
	s.wait(ctx, &out, r.Call)
	s.keepAnswer(ctx, key, &out)
	return out, nil
}

// beginRefund is tx A of a refund: the checks under the deposit's lock, the hold, our row, the key and the first event.
func (s *Service) beginRefund(ctx context.Context, r RefundRequest, id uuid.UUID, amount money.Money, key *keyUse) (out Outcome, err error) {
	needs := account.Needs{Key: key.hash(), Transactions: []uuid.UUID{r.DepositID, id}, Families: []uuid.UUID{r.DepositID}}
	err = s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
		out = Outcome{}
		if seen, err := s.seenBefore(u, id, key, &out); seen || err != nil {
			return err
		}
		return s.openRefund(ctx, u, r, id, amount, key, &out)
	})
	return out, err
}

func (s *Service) openRefund(ctx context.Context, u account.UnitOfWork, r RefundRequest, id uuid.UUID, amount money.Money, key *keyUse, out *Outcome) error {
	now := s.now()
	deposit, ok := u.Transaction(r.DepositID)
	if !ok || deposit.UserID != r.UserID {
		return errs.Missing("Transaction")
	}
	a, ok := u.Account(deposit.AccountID)
	if !ok {
		return ErrInconsistent
	}
	if deposit.Status() != account.PaymentStatusCompleted {
		return errNotRefundable
	}
	rest, err := left(u, deposit, true)
	if err != nil {
		return err
	}
	if r.Amount == "" {
		amount = rest
	}
	switch {
	case !rest.IsPositive():
		return errNothingToRefund
	case amount.Minor() > rest.Minor():
		return errRefundExceeds
	}
	posted, conversion, err := priceOf(u, deposit, amount)
	if err != nil {
		return err
	}
	hold, err := a.Hold(id, posted, now)
	if err != nil {
		return err
	}
	t := newRefund(id, r, deposit, amount, posted, conversion, now, s.limits)
	event, err := t.Move(account.PaymentStatusInitiated, now, account.CauseRequest, nil)
	if err != nil {
		return err
	}
	out.Transaction, out.Side = t, a.ID
	if r.DryRun {
		out.Balances = []Balance{balanceOf(a)}
		return errDryRun
	}
	u.AddTransaction(t)
	// a piece may cost the account nothing, where those before it have paid its fraction
	if posted.IsPositive() {
		u.AddHold(hold)
	}
	key.lock(u, now)
	return s.bus.PublishPaymentEvent(ctx, event)
}

// submitRefund sends a refund to its provider.
func (s *Service) submitRefund(ctx context.Context, provider account.PaymentProvider, t *account.Transaction) (account.Initiation, error) {
	var deposit *account.Transaction
	var err error
	if t.AccountID == uuid.Nil { // of money that belongs to no payment
		deposit, err = s.reviews.FindAnyTransaction(ctx, t.LinkedID)
	} else {
		deposit, _, err = s.books.FindTransaction(ctx, t.UserID, t.LinkedID)
	}
	if err != nil {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderUnknown, Cause: err}
	}
	return provider.RefundPayment(ctx, refundInstruction(t, deposit))
}
