// Package eventbus is how payment events travel. The contract is in these comments; eventbustest is the suite
// that every bus passes as far as its stated capabilities go.
package eventbus

import (
	"context"

	"florin/domain/account"
)

// MaxEventBytes is the largest event that travels, measured as the CloudEvent that leaves. What others may write into an
// event is bounded far below it, so a larger one is a fault of the program.
const MaxEventBytes = 64 << 10

// Publisher takes a payment event on its way.
//
// An event of one transaction is published after those with a lower Seq. A publisher may see an event again
// with the same EventID and Seq; subscribers must expect that too. An error means that the event was not
// taken, and the operation that published it must fail with it: ErrTooLarge for one above MaxEventBytes.
//
// The trace of ctx goes with the event on a bus that is Traced.
type Publisher interface {
	PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error
}

// Handler does a subscriber's work for one event. An error means that the event was not handled and is to be
// delivered again: ErrAway where the event is not to blame. A handler must know a repeat by transaction and Seq.
type Handler func(ctx context.Context, event account.PaymentEvent) error

// EventBus publishes payment events and delivers them to subscribers.
type EventBus interface {
	Publisher
	// SubscribePaymentEvents delivers every event published from now on to the handler, under a name that is the
	// subscriber's own: at least once, in the order of Seq within a transaction. On a broker a new name begins with the
	// oldest event that the broker still keeps. It blocks until ctx ends and
	// returns nil then, with no call of the handler under way; what was not handled by then comes again to whoever
	// works next.
	//
	// An event whose handler failed or panicked comes again after a growing delay, before any later event of its
	// transaction. Other transactions do not wait for it. After its last try it is set aside as a dead letter, with an
	// alert, and so are the later events of its transaction until somebody redrives or discards it.
	//
	// Of several subscribers with one name one works and the others stand by, or the transactions are divided
	// among them; in this process and, where the bus reaches further, in others. One that ends and comes back goes on
	// where it was on a bus that is durable, and from then on on one that is not.
	SubscribePaymentEvents(ctx context.Context, name string, handle Handler) error
}

// Capabilities is what a bus states of itself. What it does not state it need not do, and is not tested.
type Capabilities struct {
	// Ordered: within a transaction, events come in the order of Seq, repeats apart.
	Ordered bool
	// Redelivers: an event whose handler failed comes again in the same subscription, after a delay.
	Redelivers bool
	// SetsAside: an event that fails for ever becomes a dead letter, and other transactions do not wait for it.
	SetsAside bool
	// Groups: of several subscribers of one name each event goes to one.
	Groups bool
	// Durable: a subscriber that comes back gets what was published while it was away.
	Durable bool
	// Recorded: everything that was published can be looked at.
	Recorded bool
	// Bounded: an event above MaxEventBytes is refused.
	Bounded bool
	// Traced: the handler's context continues the trace of the publisher's.
	Traced bool
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
