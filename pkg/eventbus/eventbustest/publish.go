package eventbustest

import (
	"context"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// PublishEach publishes events one after the other until one is not taken, as the log's sink does.
func PublishEach(bus eventbus.Publisher) func(ctx context.Context, events ...account.PaymentEvent) error {
	return func(ctx context.Context, events ...account.PaymentEvent) error {
		for _, e := range events {
			if err := bus.PublishPaymentEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}
