// Package eventbus is how payment events travel. The contract is in these comments; eventbustest is the suite
// that every bus passes as far as its stated capabilities go.
package eventbus

import (
	"context"

	"florin/domain/account"
)

// Publisher takes a payment event on its way.
//
// An event of one transaction is published after those with a lower Seq. A publisher may see an event again
// with the same EventID and Seq; subscribers must expect that too. An error means that the event was not
// taken, and the operation that published it must fail with it.
type Publisher interface {
	PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error
}

// Handler does a subscriber's work for one event. An error means that the event was not handled and is to be
// delivered again.
type Handler func(ctx context.Context, event account.PaymentEvent) error

// EventBus publishes payment events and delivers them to subscribers.
type EventBus interface {
	Publisher
	// SubscribePaymentEvents delivers every event published from now on to the handler, under a name that is the
	// subscriber's own: at least once, in the order of Seq within a transaction. It blocks until ctx ends and
	// returns nil then, with no call of the handler under way.
	//
	// An event whose handler failed or panicked comes again after a delay, before any later event of its
	// transaction. Of several subscribers with one name one works and the others stand by, in this process and,
	// where the bus reaches further, in others. One that ends and comes back goes on where it was on a bus that
	// is durable, and from then on on one that is not.
	SubscribePaymentEvents(ctx context.Context, name string, handle Handler) error
}

// ReceivedHandler works off what a provider told us. A nil error means that the event is stored or has had its
// effect: only then may the provider be told so.
type ReceivedHandler interface {
	HandlePaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error
}

// Received dispatches a provider's event to the one handler in this process, synchronously: the handler's
// error is the caller's, and no broker stands between.
type Received struct{ handler ReceivedHandler }

// NewReceived returns the dispatcher for the handler.
func NewReceived(h ReceivedHandler) *Received { return &Received{handler: h} }

// PublishPaymentReceived blocks until the handler has worked the event off or stored it.
func (r *Received) PublishPaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error {
	return r.handler.HandlePaymentReceived(ctx, event)
}
