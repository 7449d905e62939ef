package deadletter

import (
	"context"
	"errors"
	"time"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/eventbus"
)

// redrivenAtOnce and redrivenWithin bound one round and one event of the redriver.
const (
	redrivenAtOnce = 8
	redrivenWithin = 10 * time.Second
)

// Redriver hands redriven events to their subscribers again. Any number of servers may run one: each event is claimed by one
// of them.
type Redriver struct {
	service *Service
	names   []string
	deliver func(ctx context.Context, letter account.DeadLetter) error
}

// NewRedriver returns a redriver for the named subscribers, which are those of this program. deliver hands the event of a
// letter to its subscriber, past the cursor. An error that says errs.Unavailable, or whose deadline passed, is about the other
// side and not about the event.
func (s *Service) NewRedriver(names []string, deliver func(ctx context.Context, letter account.DeadLetter) error) *Redriver {
	return &Redriver{service: s, names: names, deliver: deliver}
}

// Run works until ctx ends, and returns nil then. It looks every second when nothing is due.
func (r *Redriver) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		n, err := r.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			r.service.log.WarnContext(ctx, "redriven events not handed over", "error", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce hands over what is due, the events of a transaction in order, and returns how many that were. One that fails is an
// open dead letter again, with an alert; one whose other side is away comes again later.
func (r *Redriver) RunOnce(ctx context.Context) (int, error) {
	now := r.service.now()
	claimed, err := r.service.events.ClaimRedriven(ctx, r.names, now, now.Add(redrivenAtOnce*redrivenWithin), redrivenAtOnce)
	if err != nil {
		return 0, err
	}
	var failures []error
	for _, e := range claimed {
		failures = append(failures, r.one(ctx, e))
	}
	return len(claimed), errors.Join(failures...)
}

func (r *Redriver) one(ctx context.Context, e account.RedrivenEvent) error {
	ctx, cancel := context.WithTimeout(ctx, redrivenWithin)
	defer cancel()
	err := eventbus.Safely(func() error { return r.deliver(ctx, e.DeadLetter) })
	switch {
	case err == nil:
		return r.service.events.FinishRedriven(ctx, e)
	case ctx.Err() != nil, errs.KindOf(err) == errs.Unavailable, errors.Is(err, eventbus.ErrAway), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	e.LastError = plain(err.Error())
	if err := r.service.events.ReopenRedriven(ctx, e, e.LastError); err != nil {
		return err
	}
	r.service.Alert(ctx, e.DeadLetter)
	return nil
}
