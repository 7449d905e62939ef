package database

import (
	"context"
	"errors"
	"fmt"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// ErrNoUnitOfWork is an event published outside of a unit of work: it would leave without its transaction.
var ErrNoUnitOfWork = errors.New("no unit of work in the context")

// Bus is the event bus of the running program. What is published becomes a row of the unit of work that the context
// carries, so an event leaves if and only if its transaction commits; subscribers read the log.
type Bus struct{ subscribe SubscribeFunc }

// SubscribeFunc runs one durable subscriber of the log until ctx ends, as eventbus.EventBus says.
type SubscribeFunc func(ctx context.Context, name string, handle eventbus.Handler) error

var _ eventbus.EventBus = (*Bus)(nil)

// NewBus returns the bus. subscribe runs its subscribers: the relay's runner.
func NewBus(subscribe SubscribeFunc) *Bus { return &Bus{subscribe: subscribe} }

// Capabilities says what the bus keeps of the contract. The trace of an event is the one that its transaction began in.
func (*Bus) Capabilities() eventbus.Capabilities {
	return eventbus.Capabilities{Ordered: true, Redelivers: true, SetsAside: true, Groups: true, Durable: true, Recorded: true, Bounded: true}
}

// PublishPaymentEvent adds the event to the unit of work in ctx. ErrNoUnitOfWork where there is none, eventbus.ErrTooLarge.
func (b *Bus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	u, ok := account.UnitFrom(ctx)
	if !ok {
		return fmt.Errorf("publish payment event %s: %w", event.EventID, ErrNoUnitOfWork)
	}
	if err := eventbus.CheckSize(event); err != nil {
		return fmt.Errorf("publish payment event: %w", err)
	}
	u.AddEvent(event)
	return nil
}

// SubscribePaymentEvents follows the log from the subscriber's stored cursor.
func (b *Bus) SubscribePaymentEvents(ctx context.Context, name string, handle eventbus.Handler) error {
	return b.subscribe(ctx, name, handle)
}
