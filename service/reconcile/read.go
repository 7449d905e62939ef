package reconcile

import (
	"context"
	"time"

	"florin/domain/account"
)

// shownRuns is how many of the last runs are shown.
const shownRuns = 20

// State is what there is to know about the reconciliation.
type State struct {
	Marks       map[string]account.Mark // by provider
	Runs        []account.ReconciliationRun
	Differences []account.Difference // that are open, newest first
}

// State reads the marks, the last runs and a page of the open differences.
func (s *Service) State(ctx context.Context, page account.Page) (State, error) {
	marks, err := s.cfg.Store.FindMarks(ctx)
	if err != nil {
		return State{}, err
	}
	found := State{Marks: make(map[string]account.Mark, len(s.cfg.Providers))}
	for provider := range s.cfg.Providers {
		found.Marks[provider] = marks[provider]
	}
	if found.Runs, err = s.cfg.Store.FindRuns(ctx, "", shownRuns); err != nil {
		return State{}, err
	}
	found.Differences, err = s.cfg.Store.FindDifferences(ctx, page)
	return found, err
}

// MarkAges is for how long each provider's events were not listed to the end. One that never was is left out.
func (s *Service) MarkAges(ctx context.Context) (map[string]time.Duration, error) {
	marks, err := s.cfg.Store.FindMarks(ctx)
	if err != nil {
		return nil, err
	}
	ages := map[string]time.Duration{}
	for provider := range s.cfg.Providers {
		if listed := marks[provider].ListedAt; !listed.IsZero() {
			ages[provider] = max(0, s.cfg.Clock().Sub(listed))
		}
	}
	return ages, nil
}

// OpenDifferences counts the open differences of each provider that is compared.
func (s *Service) OpenDifferences(ctx context.Context) (map[string]int64, error) {
	counts, err := s.cfg.Store.CountDifferences(ctx)
	if err != nil {
		return nil, err
	}
	for provider := range s.cfg.Listers {
		counts[provider] += 0 // none is a number too
	}
	return counts, nil
}

// Request asks for a run now, which a running server takes up. errs.Refused "reason_required".
func (s *Service) Request(ctx context.Context, by account.Operator) (account.ReconciliationRequest, error) {
	return s.cfg.Store.AddRequest(ctx, by)
}
