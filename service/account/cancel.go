package account

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// CancelRequest asks for an open payment to be given up.
type CancelRequest struct {
	Call
	TransactionID uuid.UUID
}

var errNotCancelable = errs.New(errs.Conflict, "not_cancelable", "The payment has ended, or its provider does not let it be canceled any more.")

// CancelTransaction has an open deposit or withdrawal given up by its provider. It returns the transaction as it is then: failed
// with the code "canceled", or still open where the provider's answer is not known. errs.Conflict where the payment cannot be
// canceled any more; what the provider said instead has had its effect. Canceling a canceled payment changes nothing.
func (s *Service) CancelTransaction(ctx context.Context, r CancelRequest) (Outcome, error) {
	t, side, err := s.books.FindTransaction(ctx, r.UserID, r.TransactionID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.keyIsFree(ctx, r.Call); err != nil {
		return Outcome{}, err
	}
	switch {
	case t.UserID != r.UserID || (t.Type != account.TypeDeposit && t.Type != account.TypeWithdraw):
		return Outcome{}, errNotCancelable
	case t.Status() == account.PaymentStatusFailed && t.Failure().Code == codeCanceled:
		return Outcome{Transaction: t, Side: side}, nil
	case t.Status().Terminal():
		return Outcome{}, errNotCancelable
	}
	provider, err := s.providers.Named(t.Provider)
	if err != nil {
		return Outcome{}, err
	}
	if r.DryRun {
		return Outcome{Transaction: t, Side: side}, nil
	}
	report, err := s.report(context.WithoutCancel(ctx), t, "cancel_payment", provider.CancelPayment)
	switch {
	case errors.Is(err, account.ErrProviderNotFound):
		// The call that makes the payment may still be on its way.
		return Outcome{}, errNotCancelable
	case err != nil:
		s.log.WarnContext(ctx, "cancelation of unknown outcome", "transaction_id", t.ID, "error", err)
		out := Outcome{Transaction: t, Side: side}
		s.wait(ctx, &out, r.Call)
		return out, nil
	}
	event := received(t, report, account.CauseReply)
	if report.Kind == account.ReceivedFailed {
		event.Cause = account.CauseRequest
		if event.Failure == nil {
			event.Failure = &account.Failure{Code: codeCanceled, Message: "The payment was canceled."}
		}
	}
	after, err := s.applyOwn(ctx, event)
	if err != nil {
		return Outcome{}, err
	}
	if after == nil || after.Status() != account.PaymentStatusFailed {
		return Outcome{}, errNotCancelable
	}
	return Outcome{Transaction: after, Side: side}, nil
}

// codeCanceled is the failure of a payment that was given up on request.
const codeCanceled = "canceled"

// keyIsFree refuses an Idempotency-Key that stands for another request. A cancelation needs no record of its own: to repeat it
// changes nothing.
func (s *Service) keyIsFree(ctx context.Context, c Call) error {
	if c.Key == nil || c.DryRun {
		return nil
	}
	hash := KeyHash(c.UserID, c.Key.Value)
	return s.ledger.Do(ctx, account.Needs{Key: &hash}, func(_ context.Context, u account.UnitOfWork) error {
		if r, ok := u.Key(); ok && r.Fingerprint != c.Key.Fingerprint {
			return errs.New(errs.Refused, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
		}
		return nil
	})
}
