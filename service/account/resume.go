package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/crashpoint"
)

// Resume goes on with an open payment that is due: the call is repeated under its key, or the provider is asked; past the
// deadline it is canceled there first. What stays unknown stays open. The sweep calls it.
func (s *Service) Resume(ctx context.Context, t *account.Transaction) error {
	provider, err := s.providers.Named(t.Provider)
	if err != nil {
		return err
	}
	switch {
	case !s.now().Before(t.ExpiresAt):
		return s.expire(ctx, provider, t)
	case t.Status() == account.PaymentStatusInitiated && t.PaymentID == "":
		_, err := s.submit(ctx, provider, t, nil)
		return err
	default:
		return s.ask(ctx, provider, t)
	}
}

// ask takes the provider's report of the payment the same way as its webhook.
func (s *Service) ask(ctx context.Context, provider account.PaymentProvider, t *account.Transaction) error {
	report, err := s.report(ctx, t, "get_payment_status", provider.GetPaymentStatus)
	if err != nil {
		return err
	}
	event := report.Received(provider.Name(), account.CauseReport)
	event.TransactionID = t.ID
	_, err = s.applyOwn(ctx, event)
	crashpoint.Hit(crashpoint.ReconcilerCommitted)
	return err
}

// expire gives the payment up, but only once the provider has confirmed that it did too.
func (s *Service) expire(ctx context.Context, provider account.PaymentProvider, t *account.Transaction) error {
	report, err := s.report(ctx, t, "cancel_payment", provider.CancelPayment)
	if errors.Is(err, account.ErrProviderNotFound) && t.PaymentID == "" {
		report, err = account.PaymentReport{Kind: account.ReceivedFailed, OccurredAt: s.now()}, nil
	}
	if err != nil {
		return err
	}
	event := report.Received(provider.Name(), account.CauseReport)
	event.TransactionID = t.ID
	if report.Kind == account.ReceivedFailed {
		event.Cause = account.CauseExpiry
		event.Failure = &account.Failure{Code: "expired", Message: "The payment was not completed in time."}
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
	report, err := call(callCtx, account.PaymentRef{PaymentID: t.PaymentID, TransactionID: t.ID})
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

// Retry works a stored event off. Where that fails too often it becomes a dead letter, with an alert. The inbox worker
// calls it with a row that it has claimed.
func (s *Service) Retry(ctx context.Context, row *account.InboxRecord) error {
	crashpoint.Hit(crashpoint.WebhookClaimed)
	confirmed := false
	event := row.Event
	if row.Reason == "ask_provider" {
		asked, err := s.confirmed(ctx, event)
		if err != nil {
			return s.giveUp(ctx, row, err)
		}
		confirmed = asked
	}
	_, err := s.apply(ctx, event, confirmed)
	if errors.Is(err, errAskProvider) && !confirmed && row.Reason != "ask_provider" {
		return s.markAsk(ctx, row)
	}
	if err != nil {
		return s.giveUp(ctx, row, err)
	}
	crashpoint.Hit(crashpoint.WebhookClaimedEffect)
	return nil
}

// confirmed asks the provider whether it stands by its event.
func (s *Service) confirmed(ctx context.Context, event account.PaymentReceivedEvent) (bool, error) {
	provider, err := s.providers.Named(event.Provider)
	if err != nil {
		return false, err
	}
	callCtx, cancel := context.WithTimeout(ctx, s.limits.CallTimeout)
	defer cancel()
	report, err := provider.GetPaymentStatus(callCtx, account.PaymentRef{PaymentID: event.PaymentID, TransactionID: event.TransactionID})
	if err != nil {
		return false, err
	}
	if report.Kind != event.Kind || report.Amount != event.Amount || report.Currency != event.Currency {
		return false, fmt.Errorf("provider reports %s: %w", report.Kind, errAskProvider)
	}
	return true, nil
}

func (s *Service) markAsk(ctx context.Context, row *account.InboxRecord) error {
	return s.ledger.Do(ctx, account.Needs{Inbox: inboxKey(row.Event)}, func(_ context.Context, u account.UnitOfWork) error {
		if stored, ok := u.Inbox(); ok && stored.Status == account.InboxReceived {
			stored.Reason, stored.NextAttemptAt = "ask_provider", s.now()
		}
		return nil
	})
}

// giveUp makes a dead letter of an event that was tried often enough; before that it only says so.
func (s *Service) giveUp(ctx context.Context, row *account.InboxRecord, cause error) error {
	if row.Tries < s.limits.Tries || isKind(cause, errs.Unavailable) {
		return cause
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	dead := false
	err = s.ledger.Do(ctx, account.Needs{Inbox: inboxKey(row.Event)}, func(_ context.Context, u account.UnitOfWork) error {
		dead = false
		stored, ok := u.Inbox()
		if !ok || stored.Status != account.InboxReceived {
			return nil
		}
		now := s.now()
		stored.Status, stored.Reason, stored.NextAttemptAt, stored.ProcessedAt = account.InboxDead, reasonOf(cause), time.Time{}, now
		u.AddDeadLetter(account.DeadLetter{ID: id, Source: account.DeadInbox, SourceID: stored.ID, TransactionID: stored.Event.TransactionID,
			Reason: reasonOf(cause), LastError: plain(cause.Error(), 500),
			Tries: stored.Tries, Payload: string(stored.Event.Raw), Status: account.DeadLetterOpen, CreatedAt: now})
		dead = true
		return nil
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	if dead {
		s.alert(ctx, "dead_letter", "source", "inbox", "provider", row.Event.Provider, "event_id", row.Event.EventID, "error", cause)
	}
	return nil
}
