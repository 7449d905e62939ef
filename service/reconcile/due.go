package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// dueWork is what a round has to do.
type dueWork struct {
	listings, matches []string // of which providers
	requests          []uuid.UUID
}

func (d dueWork) nothing() bool {
	return len(d.listings) == 0 && len(d.matches) == 0 && len(d.requests) == 0
}

// due looks for what is due. It is told by the stored times of the last rounds, so that any number of servers keep one interval,
// also over restarts. A request makes everything due.
func (s *Service) due(ctx context.Context) (dueWork, error) {
	var d dueWork
	waiting, err := s.cfg.Store.OpenRequests(ctx)
	if err != nil {
		return dueWork{}, err
	}
	for _, r := range waiting {
		d.requests = append(d.requests, r.ID)
	}
	asked, now := len(d.requests) > 0, s.cfg.Clock()
	marks, err := s.cfg.Store.FindMarks(ctx)
	if err != nil {
		return dueWork{}, err
	}
	for _, provider := range slices.Sorted(maps.Keys(s.cfg.Providers)) {
		if asked || (isDue(marks[provider].ListedAt, now, s.cfg.ListEvery) && !s.resting("list", provider, now)) {
			d.listings = append(d.listings, provider)
		}
	}
	for _, provider := range slices.Sorted(maps.Keys(s.cfg.Listers)) {
		runs, err := s.cfg.Store.FindRuns(ctx, provider, 1)
		if err != nil {
			return dueWork{}, err
		}
		late := len(runs) == 0 || isDue(runs[0].StartedAt, now, s.cfg.MatchEvery)
		if asked || (late && !s.resting("match", provider, now)) {
			d.matches = append(d.matches, provider)
		}
	}
	return d, nil
}

// isDue says whether the interval is over. A last time far in the future is one of a clock that was put back since.
func isDue(last, now time.Time, every time.Duration) bool {
	age := now.Sub(last)
	return age >= every || age < -every
}
