package eventbus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryEventBus(t *testing.T) {
	eventbustest.Run(t, func(*testing.T) eventbustest.Harness {
		bus := &eventbus.MemoryEventBus{RedeliveryDelay: time.Millisecond}
		return eventbustest.Harness{
			Bus:          bus,
			Capabilities: bus.Capabilities(),
			Publish: func(ctx context.Context, events ...account.PaymentEvent) error {
				for _, e := range events {
					if err := bus.PublishPaymentEvent(ctx, e); err != nil {
						return err
					}
				}
				return nil
			},
			Recorded: bus.Snapshot,
		}
	})
}

func TestMemoryEventBusRecordsAsItsZeroValue(t *testing.T) {
	bus := &eventbus.MemoryEventBus{}
	sent := eventbustest.Events(3)
	for _, e := range sent {
		require.NoError(t, bus.PublishPaymentEvent(t.Context(), e))
	}
	require.Len(t, bus.Events, 3)
	assert.Equal(t, account.PaymentStatusInitiated, bus.Events[0].Status)
	assert.Equal(t, account.PaymentStatusCompleted, bus.Events[2].Status)

	sent[0].Metadata["operation"] = "changed by the publisher"
	assert.Equal(t, "deposit", bus.Events[0].Metadata["operation"], "what is recorded must not change after the fact")
}

func TestMemoryEventBusRefusesAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bus := &eventbus.MemoryEventBus{}
	require.ErrorIs(t, bus.PublishPaymentEvent(ctx, eventbustest.Events(1)[0]), context.Canceled)
	assert.Empty(t, bus.Snapshot())
}
