package reconcile

import (
	"context"
	"time"

	"florin/domain/account"
	"florin/pkg/crashpoint"
	"florin/pkg/lease"
)

// maxPages bounds one round of a provider; what is left over is due with the next.
const maxPages = 1000

// list applies the events that a provider has listed since its mark, each by the way that its webhook would have taken, and moves
// the mark behind what is applied, never before. Whoever dies in between has the page listed again, and finds duplicates.
// A list that lags is its adapter's to know: the cursor that it returns stays behind what may still be added.
func (s *Service) list(ctx context.Context, name string, held *lease.Held) error {
	provider := s.cfg.Providers[name]
	marks, err := s.cfg.Store.FindMarks(ctx)
	if err != nil {
		return err
	}
	cursor := marks[name].Cursor
	for range maxPages {
		if err := keep(ctx, held); err != nil {
			return err
		}
		events, next, err := s.page(ctx, provider, cursor)
		if err != nil {
			return err
		}
		crashpoint.Hit(crashpoint.ReconcilerAnswered)
		young, err := s.applyAll(ctx, name, events)
		if err != nil {
			return err
		}
		crashpoint.Hit(crashpoint.ReconcilerCommitted)
		to := next
		if young {
			to = cursor // what is too young now is listed again
		}
		if err := s.cfg.Store.MoveMark(ctx, account.MarkMove{Provider: name, To: to, Fence: held.Fence()}); err != nil {
			return err
		}
		if young || next == cursor {
			return nil
		}
		cursor = next
	}
	return nil
}

func (s *Service) page(ctx context.Context, provider account.PaymentProvider, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
	defer cancel()
	return provider.ListEvents(ctx, cursor)
}

// applyAll hands over the events of a page that we do not know, in their order. Those whose webhook may still come are left
// alone, and it says so.
func (s *Service) applyAll(ctx context.Context, provider string, events []account.PaymentReceivedEvent) (young bool, err error) {
	ids := make([]string, len(events))
	for i, event := range events {
		ids[i] = event.EventID
	}
	unknown, err := s.cfg.Store.UnknownEvents(ctx, provider, ids)
	if err != nil {
		return false, err
	}
	applied, now := 0, s.cfg.Clock()
	for _, event := range events {
		switch {
		case !unknown[event.EventID]:
			continue
		case s.isYoung(event, now):
			young = true
			continue
		}
		event.Provider, event.Cause = provider, account.CauseListing
		if err := s.cfg.Received.PublishPaymentReceived(ctx, event); err != nil {
			return young, err
		}
		applied++
	}
	if applied > 0 {
		s.cfg.Meter.Listed(provider, applied)
		s.cfg.Log.WarnContext(ctx, "events applied that came by no webhook", "provider", provider, "events", applied)
	}
	return young, nil
}

// isYoung says whether the webhook of an event may still come. An event of a time that is not yet is one of a clock that is off,
// ours or theirs: it is not waited for.
func (s *Service) isYoung(event account.PaymentReceivedEvent, now time.Time) bool {
	age := now.Sub(event.OccurredAt)
	return age >= 0 && age < s.cfg.Grace
}
