package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/pkg/crashpoint"
)

// Resume goes on with an open payment that is due: the call is repeated under its key, or the provider is asked; past the
// deadline it is canceled there first. What stays unknown stays open. The sweep calls it.
func (s *Service) Resume(ctx context.Context, t *account.Transaction) error {
	provider, err := s.providers.Named(t.Provider)
	if err != nil {
		return err
	}
	unsent := t.Status() == account.PaymentStatusInitiated && t.PaymentID == ""
	switch {
	case t.Type == account.TypeRefund && !unsent:
		return s.ask(ctx, provider, t)
	case t.Type != account.TypeRefund && !s.now().Before(t.ExpiresAt):
		return s.abandon(ctx, provider, t, account.Failure{Code: "expired", Message: "The payment was not completed in time."})
	case unsent:
		return s.send(ctx, provider, t)
	default:
		return s.ask(ctx, provider, t)
	}
}

// send repeats a call that was never answered, under its key. A payout from an account that was frozen meanwhile is not sent any
// more: it is given up once the provider has said that it has none.
func (s *Service) send(ctx context.Context, provider account.PaymentProvider, t *account.Transaction) error {
	if t.AccountID != uuid.Nil && t.Type != account.TypeDeposit {
		a, err := s.books.FindAccount(ctx, t.UserID, t.AccountID)
		if err != nil {
			return err
		}
		if errors.Is(a.CheckActive(), account.ErrAccountFrozen) && t.Type == account.TypeWithdraw {
			return s.abandon(ctx, provider, t, account.Failure{Code: "account_frozen", Message: "The account was frozen before the payment was sent."})
		}
	}
	_, err := s.submit(ctx, provider, t, nil)
	return err
}

// ask takes the provider's report of the payment the same way as its webhook.
func (s *Service) ask(ctx context.Context, provider account.PaymentProvider, t *account.Transaction) error {
	report, err := s.report(ctx, t, "get_payment_status", provider.GetPaymentStatus)
	if err != nil {
		return err
	}
	_, err = s.applyOwn(ctx, received(t, report, account.CauseReport))
	crashpoint.Hit(crashpoint.ReconcilerCommitted)
	return err
}

// abandon gives the payment up, but only once the provider has confirmed that it did too.
func (s *Service) abandon(ctx context.Context, provider account.PaymentProvider, t *account.Transaction, why account.Failure) error {
	report, err := s.report(ctx, t, "cancel_payment", provider.CancelPayment)
	if errors.Is(err, account.ErrProviderNotFound) && t.PaymentID == "" {
		report, err = account.PaymentReport{Kind: account.ReceivedFailed, OccurredAt: s.now()}, nil
	}
	if err != nil {
		return err
	}
	event := received(t, report, account.CauseReport)
	if report.Kind == account.ReceivedFailed {
		event.Cause, event.Failure = account.CauseExpiry, &why
	}
	_, err = s.applyOwn(ctx, event)
	return err
}

// report makes one provider call that answers with a report, within its deadline, and notes it.
func (s *Service) report(ctx context.Context, t *account.Transaction, operation string, call func(context.Context, account.PaymentRef) (account.PaymentReport, error)) (account.PaymentReport, error) {
	ctx, span := s.startPayment(ctx, t, "provider."+operation)
	defer span.End()
	callCtx, cancel := context.WithTimeout(ctx, s.limits.CallTimeout)
	defer cancel()
	started := s.now()
	report, err := call(callCtx, refOf(t))
	crashpoint.Hit(crashpoint.ReconcilerAnswered)
	ended := s.now()
	note := s.recordOf(ctx, t, operation, outcomeOf(report.Kind, err), started, ended)
	s.meter.Called(t.Provider, operation, note.Outcome, ended.Sub(started))
	noteCtx, stop := context.WithTimeout(context.WithoutCancel(ctx), keySlack)
	defer stop()
	if noteErr := s.recordCall(noteCtx, note, time.Time{}); noteErr != nil {
		return account.PaymentReport{}, errors.Join(err, noteErr)
	}
	if err != nil {
		return account.PaymentReport{}, fmt.Errorf("%s of %s: %w", operation, t.ID, err)
	}
	return report, nil
}

func refOf(t *account.Transaction) account.PaymentRef {
	return account.PaymentRef{Type: t.Type, PaymentID: t.PaymentID, TransactionID: t.ID, Attempt: t.Attempt, CreatedAt: t.CreatedAt}
}
