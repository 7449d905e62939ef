package eventbus

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
)

// MemoryEventBus records what is published and delivers it within the process. Its zero value is ready. It is for
// tests and keeps nothing: payment_events is the record, a bus only carries.
//
// Subscribers of one name take turns: the first works, the others stand by until it ends. What waits for a name is
// forgotten when its last subscriber ends.
type MemoryEventBus struct {
	// Events is everything that was published, in order. Read it when nobody publishes any more, otherwise use Snapshot.
	Events []account.PaymentEvent

	// RedeliveryDelay is the time from a handler's error to the next delivery of the same event, 10 ms when 0.
	// Set it before the first subscription.
	RedeliveryDelay time.Duration

	mu     sync.Mutex
	groups map[string]*memoryGroup
}

// memoryGroup is the subscribers of one name.
type memoryGroup struct {
	members int
	turn    chan struct{} // held by the one that works
	arrived chan struct{} // signalled when waiting grows

	waiting []published // guarded by the bus
}

// published is an event with the trace that it was published in.
type published struct {
	event account.PaymentEvent
	span  trace.SpanContext
}

const defaultRedeliveryDelay = 10 * time.Millisecond

// Capabilities says what the bus keeps of the contract. What fails for ever holds up all that is behind it.
func (*MemoryEventBus) Capabilities() Capabilities {
	return Capabilities{Ordered: true, Redelivers: true, Groups: true, Recorded: true, Bounded: true, Traced: true}
}

// PublishPaymentEvent records the event and queues it for every live subscriber. It never waits for a handler.
func (b *MemoryEventBus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckSize(event); err != nil {
		return err
	}
	event.Metadata = maps.Clone(event.Metadata)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Events = append(b.Events, event)
	for _, g := range b.groups {
		g.waiting = append(g.waiting, published{event, trace.SpanContextFromContext(ctx)})
		signal(g.arrived)
	}
	return nil
}

// Snapshot is a copy of Events, safe while others publish.
func (b *MemoryEventBus) Snapshot() []account.PaymentEvent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.Events)
}

// SubscribePaymentEvents delivers as EventBus says. A panic of the handler counts as its error.
func (b *MemoryEventBus) SubscribePaymentEvents(ctx context.Context, name string, handle Handler) error {
	g := b.join(name)
	defer b.leave(name, g)
	select {
	case <-ctx.Done():
		return nil
	case g.turn <- struct{}{}:
	}
	defer func() { <-g.turn }()
	for ctx.Err() == nil {
		next, ok := b.next(g)
		if !ok {
			select {
			case <-ctx.Done():
			case <-g.arrived:
			}
			continue
		}
		traced := trace.ContextWithRemoteSpanContext(ctx, next.span)
		if err := Safely(func() error { return handle(traced, next.event) }); err != nil {
			pause(ctx, cmp.Or(b.RedeliveryDelay, defaultRedeliveryDelay))
			continue
		}
		b.done(g)
	}
	return nil
}

func (b *MemoryEventBus) join(name string) *memoryGroup {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, ok := b.groups[name]
	if !ok {
		g = &memoryGroup{turn: make(chan struct{}, 1), arrived: make(chan struct{}, 1)}
		if b.groups == nil {
			b.groups = make(map[string]*memoryGroup)
		}
		b.groups[name] = g
	}
	g.members++
	return g
}

func (b *MemoryEventBus) leave(name string, g *memoryGroup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g.members--; g.members == 0 {
		delete(b.groups, name)
	}
}

// next looks at the first waiting event. It stays first until done: who fails or ends leaves it to the next delivery.
func (b *MemoryEventBus) next(g *memoryGroup) (published, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(g.waiting) == 0 {
		return published{}, false
	}
	next := g.waiting[0]
	next.event.Metadata = maps.Clone(next.event.Metadata)
	return next, true
}

func (b *MemoryEventBus) done(g *memoryGroup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g.waiting = g.waiting[1:]
}

// signal wakes whoever reads the channel, once, and never waits.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
