package jetstream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// PublishPaymentEvent returns when the broker has stored the event. eventbus.ErrAway, eventbus.ErrTooLarge.
func (b *Bus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	return b.PublishBatch(ctx, []eventbus.PositionedEvent{{Event: event}})[0]
}

// PublishBatch returns when the broker has stored the events, or has not. The event's id is the message's, so that the
// broker drops a repeat for as long as it remembers.
func (b *Bus) PublishBatch(ctx context.Context, events []eventbus.PositionedEvent) []error {
	js, _, err := b.ensure(ctx)
	if err != nil {
		return eventbus.All(len(events), err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	return eventbus.InWaves(events, func(wave []eventbus.PositionedEvent) []error {
		return eventbus.SendEach(ctx, wave, func(messages []eventbus.Message) []error { return b.send(ctx, js, messages) })
	})
}

func (b *Bus) send(ctx context.Context, js jetstream.JetStream, messages []eventbus.Message) []error {
	results := make([]error, len(messages))
	futures := make([]jetstream.PubAckFuture, len(messages))
	for i, m := range messages {
		message := nats.NewMsg(b.broker.Name)
		message.Data = m.Body
		message.Header.Set("content-type", eventbus.ContentType)
		for name, value := range m.Headers {
			message.Header.Set(name, value)
		}
		var err error
		if futures[i], err = js.PublishMsgAsync(message, jetstream.WithMsgID(m.ID)); err != nil {
			results[i] = b.published(err)
		}
	}
	for i, future := range futures {
		if future == nil {
			continue
		}
		select {
		case <-future.Ok():
		case err := <-future.Err():
			results[i] = b.published(err)
		case <-ctx.Done():
			results[i] = eventbus.Away("publish", ctx.Err())
		}
	}
	return results
}

// published says whose fault it is.
func (b *Bus) published(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return err
	}
	b.forget()
	return eventbus.Away("publish", err)
}
