package reconcile

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/pkg/lease"
)

// match compares our clearing accounts with the provider's own list, movement by movement, both ways. Theirs is read first: what
// happens in between is younger than the grace and waits for the next run. The whole list is held in memory.
func (s *Service) match(ctx context.Context, name string, held *lease.Held) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	run := account.ReconciliationRun{ID: id, Provider: name, StartedAt: s.cfg.Clock()}
	theirs, err := s.theirs(ctx, name, held)
	if err != nil {
		return err
	}
	var seen []account.Difference
	settledBefore := run.StartedAt.Add(-s.cfg.MatchGrace)
	covers := func(m account.Movement) {
		if m.Amount != 0 && (run.CoversFrom.IsZero() || m.ChangedAt.Before(run.CoversFrom)) {
			run.CoversFrom, run.CoversTo = m.ChangedAt, settledBefore
		}
	}
	for _, m := range theirs {
		covers(m)
		if m.Amount != 0 {
			run.ListUntil = latest(run.ListUntil, m.ChangedAt)
		}
	}
	differ := func(key account.MovementKey, ours, theirs *account.Movement) {
		d := account.Difference{Provider: name, MovementKey: key}
		for _, side := range []struct {
			of *account.Movement
			to **int64
		}{{ours, &d.Ours}, {theirs, &d.Theirs}} {
			if side.of != nil {
				*side.to = &side.of.Amount
				d.UnderWay = d.UnderWay || side.of.ChangedAt.After(settledBefore)
			}
		}
		seen = append(seen, d)
	}
	err = s.cfg.Store.OurMovements(ctx, name, func(ours account.Movement) error {
		covers(ours)
		their, found := theirs[ours.MovementKey]
		delete(theirs, ours.MovementKey)
		switch {
		case ours.Amount == their.Amount: // one that is not there is of 0
			if ours.Amount != 0 {
				run.Matched++
			}
		case found:
			differ(ours.MovementKey, &ours, &their)
		default:
			differ(ours.MovementKey, &ours, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key, their := range theirs {
		if their.Amount != 0 {
			differ(key, nil, &their)
		}
	}
	if err := keep(ctx, held); err != nil {
		return err
	}
	return s.report(ctx, run, seen)
}

// theirs is the provider's list.
func (s *Service) theirs(ctx context.Context, name string, held *lease.Held) (map[account.MovementKey]account.Movement, error) {
	all := map[account.MovementKey]account.Movement{}
	for cursor := ""; ; {
		if err := keep(ctx, held); err != nil {
			return nil, err
		}
		page, next, err := s.movements(ctx, name, cursor)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if known, ok := all[m.MovementKey]; ok { // several lines of one thing
				m.Amount += known.Amount
				m.ChangedAt = latest(m.ChangedAt, known.ChangedAt)
			}
			all[m.MovementKey] = m
		}
		if next == "" {
			break
		}
		cursor = next
	}
	return all, nil
}

func (s *Service) movements(ctx context.Context, name, cursor string) ([]account.Movement, string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
	defer cancel()
	return s.cfg.Listers[name].ListMovements(ctx, cursor)
}

// report stores what a run has seen, and raises an alert for each difference that is new.
func (s *Service) report(ctx context.Context, run account.ReconciliationRun, seen []account.Difference) error {
	run.EndedAt = s.cfg.Clock()
	run, found, err := s.cfg.Store.SaveRun(ctx, run, seen)
	if err != nil {
		return err
	}
	for _, d := range found {
		s.cfg.Meter.Alert(account.ReviewDrift)
		s.cfg.Log.ErrorContext(ctx, "alert: "+account.ReviewDrift, "alert", account.ReviewDrift, "provider", d.Provider, "effect", d.Effect,
			"ref", d.Ref, "currency", d.Currency, "ours", amountOf(d.Ours), "theirs", amountOf(d.Theirs), "review_id", d.ReviewID)
	}
	s.cfg.Log.InfoContext(ctx, "clearing accounts compared", "provider", run.Provider, "matched", run.Matched, "under_way", run.UnderWay,
		"differences", run.Differences, "found", run.Found, "closed", run.Closed, "from",
		run.CoversFrom, "to", run.CoversTo, "list_until", run.ListUntil)
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// amountOf is a side of a difference for the log.
func amountOf(side *int64) any {
	if side == nil {
		return "none"
	}
	return *side
}
