package relay

import (
	"context"
	"fmt"
	"sync"

	"florin/domain/errs"
	"florin/pkg/eventbus"
)

// Subscriptions starts subscribers of one log and wakes them all when it has grown.
type Subscriptions struct {
	log      Log
	leases   Leases
	settings Settings

	mu   sync.Mutex
	live map[*Subscriber]struct{}
}

// NewSubscriptions returns a runner without subscribers.
func NewSubscriptions(log Log, leases Leases, settings Settings) *Subscriptions {
	return &Subscriptions{log: log, leases: leases, settings: settings, live: make(map[*Subscriber]struct{})}
}

// Wake says that the log has grown. It never blocks on a handler.
func (s *Subscriptions) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for subscriber := range s.live {
		subscriber.Wake()
	}
}

// Prepare gives durable subscribers that are new a cursor at the head of the log. Called before the program takes its first
// request, it makes sure that they miss none, whichever loop starts first.
func (s *Subscriptions) Prepare(ctx context.Context, names ...string) error {
	head, err := s.log.Head(ctx)
	if err != nil {
		return fmt.Errorf("prepare subscribers: %w", err)
	}
	for _, name := range names {
		if _, err := s.log.OpenCursor(ctx, name, head); err != nil {
			return fmt.Errorf("prepare subscriber %s: %w", name, err)
		}
	}
	return nil
}

// Subscribe runs a durable subscriber until ctx ends, as eventbus.EventBus says, and returns nil then.
func (s *Subscriptions) Subscribe(ctx context.Context, name string, handle eventbus.Handler) error {
	return s.SubscribePositioned(ctx, name, eventbus.Positioned(handle))
}

// SubscribePositioned is Subscribe for a handler that wants the position.
func (s *Subscriptions) SubscribePositioned(ctx context.Context, name string, handle eventbus.PositionedHandler) error {
	return s.run(ctx, NewDurable(s.log, s.leases, s.settings, name, handle))
}

// SubscribeBatch is Subscribe for a handler of many events at once, such as a sink that publishes to a broker.
func (s *Subscriptions) SubscribeBatch(ctx context.Context, name string, handle eventbus.BatchHandler) error {
	return s.run(ctx, NewDurableBatch(s.log, s.leases, s.settings, name, handle))
}

// Redeliver hands an event to a durable subscriber of this process once more and returns the handler's error. It moves no
// cursor, needs no lease, and does not wait for what the subscriber is doing: its handler must bear that. errs.NotFound
// where no such subscriber runs here.
func (s *Subscriptions) Redeliver(ctx context.Context, name string, event eventbus.PositionedEvent) error {
	subscriber, ok := s.find(name)
	if !ok {
		return errs.Missing("subscriber")
	}
	return subscriber.handle(ctx, []eventbus.PositionedEvent{event})[0]
}

func (s *Subscriptions) find(name string) (*Subscriber, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for subscriber := range s.live {
		if subscriber.lease != nil && subscriber.name == name {
			return subscriber, true
		}
	}
	return nil, false
}

// Follow runs an ephemeral subscriber until ctx ends: every process has its own, from the head of the log on. While wanted
// says no, events are passed over unread; an event that is committed after it began to say yes is handed over.
func (s *Subscriptions) Follow(ctx context.Context, name string, wanted func() bool, handle eventbus.PositionedHandler) error {
	return s.run(ctx, NewEphemeral(s.log, s.settings, name, wanted, handle))
}

func (s *Subscriptions) run(ctx context.Context, subscriber *Subscriber) error {
	s.mu.Lock()
	s.live[subscriber] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, subscriber)
	}()
	return subscriber.Run(ctx)
}
