package relay

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"florin/pkg/eventbus"
	"florin/pkg/lease"
)

// Subscriptions starts subscribers of one log and wakes them all when it has grown.
type Subscriptions struct {
	log      *tail
	leases   lease.Leases
	settings Settings

	mu   sync.Mutex
	live map[*Subscriber]struct{}
}

// NewSubscriptions returns a runner without subscribers.
func NewSubscriptions(log Log, leases lease.Leases, settings Settings) *Subscriptions {
	settings = settings.withDefaults()
	return &Subscriptions{log: &tail{Log: log, keep: settings.Batch}, leases: leases, settings: settings, live: make(map[*Subscriber]struct{})}
}

// Wake says that the log has grown to the position, 0 where it may have grown and nobody knows how far. It never blocks on a
// handler.
func (s *Subscriptions) Wake(position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.log.announce(position) {
		return // what this process moves it hears of twice, by itself and from the database
	}
	for subscriber := range s.live {
		subscriber.Wake(position)
	}
}

// Moved is Wake for what a relay of this process has moved. The events, where it knows any, need not be read.
func (s *Subscriptions) Moved(last int64, events []eventbus.PositionedEvent) {
	s.log.feed(events)
	s.Wake(last)
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
	return s.SubscribePositioned(ctx, name, func(ctx context.Context, e eventbus.PositionedEvent) error {
		e.Event.Metadata = maps.Clone(e.Event.Metadata) // the subscribers of a process share what they read
		return handle(ctx, e.Event)
	})
}

// SubscribePositioned is Subscribe for a handler that wants the position, and leaves the event's metadata as it is.
func (s *Subscriptions) SubscribePositioned(ctx context.Context, name string, handle eventbus.PositionedHandler) error {
	return s.run(ctx, NewDurable(s.log, s.leases, s.settings, name, handle))
}

// SubscribeBatch is Subscribe for a handler of many events at once, such as a sink that publishes to a broker. pass is as for
// NewDurableBatch.
func (s *Subscriptions) SubscribeBatch(ctx context.Context, name string, pass PassOver, handle eventbus.BatchHandler) error {
	return s.run(ctx, NewDurableBatch(s.log, s.leases, s.settings, name, pass, handle))
}

// Follow runs an ephemeral subscriber until ctx ends: every process has its own, from the head of the log on, less what
// pass says may be passed over.
func (s *Subscriptions) Follow(ctx context.Context, name string, pass PassOver, handle eventbus.PositionedHandler) error {
	return s.run(ctx, NewEphemeral(s.log, s.settings, name, pass, handle))
}

// FollowAfter is Follow from behind a position that is known, so that nothing falls between learning it and the first look.
func (s *Subscriptions) FollowAfter(ctx context.Context, name string, position int64, pass PassOver, handle eventbus.PositionedHandler) error {
	subscriber := NewEphemeral(s.log, s.settings, name, pass, handle)
	subscriber.cursor, subscriber.read, subscriber.open = position, position, true
	return s.run(ctx, subscriber)
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
