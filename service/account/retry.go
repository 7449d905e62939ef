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

// Retry works a stored event off. Where that fails too often it becomes a dead letter, with an alert. The inbox worker
// calls it with a row that it has claimed.
func (s *Service) Retry(ctx context.Context, row *account.InboxRecord) error {
	crashpoint.Hit(crashpoint.WebhookClaimed)
	err := s.workOff(ctx, row)
	if errors.Is(err, errAskProvider) && row.Reason != reasonAsk {
		return s.markAsk(ctx, row)
	}
	if err != nil {
		return s.giveUp(ctx, row, err)
	}
	crashpoint.Hit(crashpoint.WebhookClaimedEffect)
	return nil
}

func (s *Service) workOff(ctx context.Context, row *account.InboxRecord) error {
	switch {
	case row.Event.Kind == account.ReceivedConsult || row.Reason == reasonConsult:
		return s.consult(ctx, row)
	case row.Reason == reasonConflict:
		return s.settleConflict(ctx, row)
	case row.Reason == reasonAsk:
		believed, err := s.confirm(ctx, row.Event)
		if err != nil {
			return err
		}
		_, err = s.apply(ctx, row.Event, believed)
		return err
	default:
		_, err := s.apply(ctx, row.Event, claimed)
		if errors.Is(err, errConsult) {
			return s.consult(ctx, row)
		}
		return err
	}
}

// confirm asks the provider whether it stands by its event. A failure that it does not stand by is denied; money that it does not
// stand by is asked about again.
func (s *Service) confirm(ctx context.Context, event account.PaymentReceivedEvent) (belief, error) {
	report, t, err := s.inquire(ctx, event)
	if err != nil {
		return claimed, err
	}
	said := received(t, report, account.CauseReport)
	switch {
	case event.Kind == account.ReceivedFailed && said.Kind == account.ReceivedFailed:
		return confirmed, nil
	case event.Kind == account.ReceivedFailed:
		return denied, nil
	case said.Kind != event.Kind || said.Amount != event.Amount || said.Currency != event.Currency:
		return claimed, fmt.Errorf("provider reports %s: %w", said.Kind, errAskProvider)
	}
	return confirmed, nil
}

// inquire asks the provider about what an event speaks of: the payment, or a refund of ours.
func (s *Service) inquire(ctx context.Context, event account.PaymentReceivedEvent) (account.PaymentReport, *account.Transaction, error) {
	provider, err := s.providers.Named(event.Provider)
	if err != nil {
		return account.PaymentReport{}, nil, err
	}
	t, err := s.subjectOf(ctx, event)
	if err != nil {
		return account.PaymentReport{}, nil, err
	}
	ref := refOf(t)
	if event.PaymentID != "" && t.Type != account.TypeRefund {
		ref.PaymentID = event.PaymentID
	}
	callCtx, cancel := context.WithTimeout(ctx, s.limits.CallTimeout)
	defer cancel()
	report, err := provider.GetPaymentStatus(callCtx, ref)
	return report, t, err
}

// subjectOf is the transaction that an event speaks of, as it is now.
func (s *Service) subjectOf(ctx context.Context, event account.PaymentReceivedEvent) (*account.Transaction, error) {
	id, err := s.resolve(ctx, event)
	if err != nil {
		return nil, err
	}
	var t *account.Transaction
	err = s.ledger.Do(ctx, account.Needs{Transactions: []uuid.UUID{id}, Families: []uuid.UUID{id}}, func(_ context.Context, u account.UnitOfWork) error {
		found, ok := u.Transaction(id)
		if !ok {
			return errs.Missing("Transaction")
		}
		t = found
		for _, f := range u.Followers(id) {
			named := f.ID == event.FollowID || (event.Ref != "" && f.PaymentID == event.Ref)
			if f.Type == account.TypeRefund && follows(event.Kind) && named {
				t = f
			}
		}
		return nil
	})
	return t, err
}

// consult works an event off that does not state its facts: the provider says what they are, and each is applied once, as an
// answer is. A fact that has to wait for another makes the whole event wait.
func (s *Service) consult(ctx context.Context, row *account.InboxRecord) error {
	provider, err := s.providers.Named(row.Event.Provider)
	if err != nil {
		return err
	}
	callCtx, cancel := context.WithTimeout(ctx, s.limits.CallTimeout)
	facts, err := provider.Consult(callCtx, row.Event)
	cancel()
	if errors.Is(err, account.ErrProviderNotFound) && row.Event.Owner == account.OwnerAsk {
		event := row.Event
		// what the provider itself does not know is nobody's that could be told
		event.Owner = account.OwnerUnsaid
		_, err := s.apply(ctx, event, claimed)
		return err
	}
	if err != nil {
		return err
	}
	verdict, reason := account.InboxProcessed, fmt.Sprintf("consulted: %d facts", len(facts))
	foreign := 0
	for _, fact := range facts {
		fact.Provider, fact.Cause = row.Event.Provider, account.CauseReport
		c, err := s.apply(ctx, fact, confirmed)
		if err != nil {
			return err
		}
		if c.status == account.InboxParked {
			verdict, reason = c.status, c.reason
		}
		if c.foreign {
			foreign++
		}
	}
	if foreign > 0 && foreign == len(facts) {
		verdict, reason = account.InboxIgnored, "foreign: begun by nobody here"
	}
	return s.close(ctx, row, verdict, reason, nil)
}

// settleConflict asks the provider for the truth behind two bodies of one event, takes it as an answer, and puts the second
// body aside for a person.
func (s *Service) settleConflict(ctx context.Context, row *account.InboxRecord) error {
	report, t, err := s.inquire(ctx, row.Event)
	switch {
	case isKind(err, errs.NotFound) || errors.Is(err, account.ErrProviderNotFound):
	case err != nil:
		return err
	case !t.Status().Terminal():
		if _, err := s.applyOwn(ctx, received(t, report, account.CauseReport)); err != nil {
			return err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	review := account.Review{ID: id, Kind: "webhook_conflict", InboxID: row.ID, CreatedAt: s.now(),
		Detail: "Another body came under the id of an event that was applied before."}
	if t != nil {
		review.TransactionID = t.ID
	}
	return s.close(ctx, row, account.InboxQuarantined, "another body under a known event id", &review)
}

// close writes the verdict on a row that was worked off in other commits than its own.
func (s *Service) close(ctx context.Context, row *account.InboxRecord, verdict account.InboxStatus, reason string, review *account.Review) error {
	ids, err := newIDs(1)
	if err != nil {
		return err
	}
	ended := verdict
	err = s.ledger.Do(ctx, account.Needs{Inbox: inboxKey(row.Event)}, func(_ context.Context, u account.UnitOfWork) error {
		stored, ok := u.Inbox()
		if !ok || (stored.Status != account.InboxReceived && stored.Status != account.InboxParked) {
			return nil
		}
		now := s.now()
		stored.Status, stored.Reason, stored.NextAttemptAt, stored.ProcessedAt = verdict, reason, time.Time{}, now
		if verdict == account.InboxParked {
			stored.NextAttemptAt, stored.ProcessedAt = now.Add(parkAfter(stored.Tries, true)), time.Time{}
			if now.Sub(stored.ReceivedAt) >= s.limits.ParkFor {
				ended = account.InboxQuarantined
				stored.Status, stored.NextAttemptAt, stored.ProcessedAt = ended, time.Time{}, now
				review = &account.Review{ID: ids[0], Kind: "out_of_order", InboxID: stored.ID, Detail: "what the event follows has not come: " + reason, CreatedAt: now}
			}
		}
		if review != nil {
			u.AddReview(*review)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.meter.Received(row.Event.Provider, ended)
	if ended == account.InboxQuarantined && verdict != ended {
		s.alert(ctx, "out_of_order", "provider", row.Event.Provider, "event_id", row.Event.EventID)
	}
	return nil
}

func (s *Service) markAsk(ctx context.Context, row *account.InboxRecord) error {
	return s.ledger.Do(ctx, account.Needs{Inbox: inboxKey(row.Event)}, func(_ context.Context, u account.UnitOfWork) error {
		stored, ok := u.Inbox()
		if ok && (stored.Status == account.InboxReceived || stored.Status == account.InboxParked) {
			stored.Status, stored.Reason, stored.NextAttemptAt = account.InboxReceived, reasonAsk, s.now()
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
		u.AddDeadLetter(account.DeadLetter{ID: id, Source: account.DeadInbox, SourceID: stored.ID, TransactionID: stored.Event.TransactionID, Reason: reasonOf(cause), LastError: plain(cause.Error(), 500),
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
