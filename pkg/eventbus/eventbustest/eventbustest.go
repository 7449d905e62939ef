// Package eventbustest is the suite that every event bus passes as far as its stated capabilities go.
package eventbustest

import (
	"context"
	"testing"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// Capabilities is what a bus states of itself. What it does not state is not tested.
type Capabilities struct {
	// Ordered: within a transaction, events come in the order of Seq, repeats apart.
	Ordered bool
	// Redelivers: an event whose handler failed comes again in the same subscription.
	Redelivers bool
	// Groups: of several subscribers of one name, one works at a time.
	Groups bool
	// Durable: a subscriber that comes back gets what was published while it was away.
	Durable bool
	// Recorded: Harness.Recorded returns everything that was published.
	Recorded bool
}

// Harness is one bus under test.
type Harness struct {
	Bus          eventbus.EventBus
	Capabilities Capabilities
	// Publish makes the events leave, in order: through Bus.PublishPaymentEvent and whatever a commit is to the bus.
	// It is safe for concurrent use.
	Publish func(ctx context.Context, events ...account.PaymentEvent) error
	// Recorded is set where the bus is Recorded.
	Recorded func() []account.PaymentEvent
}

// Run runs the suite. open returns a fresh bus, closed by the test's own cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"EverySubscriberGetsEveryEvent", testEveryName},
		{"SubscriptionEndsWithItsContext", testEnds},
		{"StuckHandlerHoldsUpNobodyElse", testIsolation},
		{"ConcurrentPublishersLoseNothing", testConcurrentPublishers},
		{"FailedEventComesAgainUnchanged", testRedelivers},
		{"PanicIsAnError", testPanic},
		{"F111_RepeatsLeaveStateUnchanged", testIdempotentFold},
		{"OneOfAGroupWorks", testGroup},
		{"SubscriberComesBack", testDurable},
		{"PublishedIsRecorded", testRecorded},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}
