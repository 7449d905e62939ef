// Package eventbustest is the suite that every event bus passes as far as its stated capabilities go.
package eventbustest

import (
	"context"
	"testing"
	"time"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// Retry is how a bus under test is to retry what a handler fails.
var Retry = eventbus.Retry{Tries: 5, Min: 20 * time.Millisecond, Max: 200 * time.Millisecond}

// Harness is one bus under test.
type Harness struct {
	Bus          eventbus.EventBus
	Capabilities eventbus.Capabilities
	// Publish makes the events leave, in order: through Bus.PublishPaymentEvent and whatever a commit is to the bus.
	// It is safe for concurrent use.
	Publish func(ctx context.Context, events ...account.PaymentEvent) error
	// Recorded is set where the bus is Recorded.
	Recorded func() []account.PaymentEvent
	// DeadLetters is what the bus was opened with, where it SetsAside.
	DeadLetters *DeadLetters
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
		{"EndingLosesNothing", testEndLosesNothing},
		{"PublishedIsRecorded", testRecorded},
		{"F115_PoisonIsSetAsideAndOnlyItsTransactionWaits", testSetsAside},
		{"AwayCountsAsNoTry", testAway},
		{"TooLargeIsRefused", testBounded},
		{"TraceIsContinued", testTraced},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}
