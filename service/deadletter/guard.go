package deadletter

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/eventbus"
)

// triesInPlace is how often an event is handed to its subscriber before it is set aside: what comes behind it waits as long.
const triesInPlace = 5

// heldFresh is how old the guard's memory of what is held may be: another server may have run the subscriber before.
const heldFresh = time.Second

// Guard puts a durable subscriber's handler behind dead letters. An event that fails five times in a row becomes a dead
// letter with an alert, and the subscriber goes on with the next. Later events of its transaction are set aside behind it,
// so that they never come before it; all others flow. An error that says errs.Unavailable, or whose deadline passed, is
// about the other side and not about the event: it is retried for as long as it takes and sets nothing aside.
//
// The handler that it returns is for one subscriber: it is not safe for concurrent use.
func (s *Service) Guard(subscriber string, handle eventbus.PositionedHandler) eventbus.PositionedHandler {
	g := &guard{service: s, subscriber: subscriber, handle: handle, held: map[uuid.UUID]bool{}}
	return g.take
}

type guard struct {
	service    *Service
	subscriber string
	handle     eventbus.PositionedHandler

	failing string // the id of the event that failed last
	tries   int    // of that event
	held    map[uuid.UUID]bool
	readAt  time.Time
}

func (g *guard) take(ctx context.Context, e eventbus.PositionedEvent) error {
	held, err := g.holds(ctx, e.Event.TransactionID)
	if err != nil {
		return err
	}
	if held {
		return g.setAside(ctx, e, "behind_dead_letter", "An earlier event of the transaction is a dead letter.", 0)
	}
	err = eventbus.Safely(func() error { return g.handle(ctx, e) })
	if err == nil {
		g.failing, g.tries = "", 0
		return nil
	}
	if ctx.Err() != nil || outside(err) {
		return err
	}
	if g.failing != e.Event.EventID {
		g.failing, g.tries = e.Event.EventID, 0
	}
	if g.tries++; g.tries < triesInPlace {
		return err
	}
	return g.setAside(ctx, e, errs.CodeOf(err), err.Error(), g.tries)
}

// outside says that an error is about what the handler needs, not about the event.
func outside(err error) bool {
	return errs.KindOf(err) == errs.Unavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// holds says whether a dead letter of this subscriber holds the transaction. What the memory says is held is read again, so
// that nothing is set aside behind a letter that was settled a moment ago.
func (g *guard) holds(ctx context.Context, transaction string) (bool, error) {
	id, err := uuid.Parse(transaction)
	if err != nil {
		return false, nil
	}
	now := g.service.now()
	if !g.held[id] && !g.readAt.IsZero() && now.Sub(g.readAt) < heldFresh {
		return false, nil
	}
	held, err := g.service.events.HeldTransactions(ctx, g.subscriber)
	if err != nil {
		return false, err
	}
	clear(g.held)
	for _, id := range held {
		g.held[id] = true
	}
	g.readAt = now
	return g.held[id], nil
}

func (g *guard) setAside(ctx context.Context, e eventbus.PositionedEvent, reason, lastError string, tries int) error {
	letter, err := eventbus.NewLetter(g.subscriber, e)
	if err != nil {
		return err
	}
	letter.Reason, letter.LastError, letter.Tries = reason, lastError, tries
	if err := g.service.AddDeadLetter(ctx, letter); err != nil {
		return err
	}
	if letter.TransactionID != uuid.Nil {
		g.held[letter.TransactionID] = true
	}
	g.failing, g.tries = "", 0
	return nil
}

// redrivenAtOnce and redrivenWithin bound one round and one event of the redriver.
const (
	redrivenAtOnce = 8
	redrivenWithin = 10 * time.Second
)

// Redriver hands redriven events to their subscribers again. Any number of servers may run one: each event is claimed by one
// of them.
type Redriver struct {
	service     *Service
	subscribers map[string]eventbus.PositionedHandler
	names       []string
	every       time.Duration
}

// NewRedriver returns a redriver for the subscribers of this program, by name, with the handlers that are behind Guard.
// It looks every second when nothing is due.
func (s *Service) NewRedriver(subscribers map[string]eventbus.PositionedHandler) *Redriver {
	r := &Redriver{service: s, subscribers: subscribers, every: time.Second}
	for name := range subscribers {
		r.names = append(r.names, name)
	}
	return r
}

// Run works until ctx ends, and returns nil then.
func (r *Redriver) Run(ctx context.Context) error {
	tick := time.NewTicker(r.every)
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
	event, err := eventbus.EventOf(e.DeadLetter)
	if err == nil {
		err = eventbus.Safely(func() error { return r.subscribers[e.SourceName](ctx, event) })
	}
	switch {
	case err == nil:
		return r.service.events.FinishRedriven(ctx, e)
	case ctx.Err() != nil || outside(err):
		return err
	}
	e.LastError = plain(err.Error())
	if err := r.service.events.ReopenRedriven(ctx, e, e.LastError); err != nil {
		return err
	}
	r.service.Alert(ctx, e.DeadLetter)
	return nil
}
