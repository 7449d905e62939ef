package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// PublishPaymentEvent returns when all replicas in sync have the event. eventbus.ErrAway, eventbus.ErrTooLarge.
func (b *Bus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	return b.PublishBatch(ctx, []eventbus.PositionedEvent{{Event: event}})[0]
}

// PublishBatch returns when all replicas in sync have the events, or when they have not.
func (b *Bus) PublishBatch(ctx context.Context, events []eventbus.PositionedEvent) []error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	client, err := b.ready(ctx)
	if err != nil {
		return eventbus.All(len(events), err)
	}
	return eventbus.InWaves(events, func(wave []eventbus.PositionedEvent) []error {
		return eventbus.SendEach(ctx, wave, func(messages []eventbus.Message) []error { return b.send(ctx, client, messages) })
	})
}

// send waits for all. One that is given up may still be under way: then it comes twice, and in its order.
func (b *Bus) send(ctx context.Context, client *kgo.Client, messages []eventbus.Message) []error {
	type outcome struct {
		place int
		err   error
	}
	outcomes := make(chan outcome, len(messages))
	for i, m := range messages {
		record := &kgo.Record{Key: []byte(m.Key), Value: m.Body,
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(eventbus.ContentType)}}}
		for name, value := range m.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		client.TryProduce(ctx, record, func(_ *kgo.Record, err error) { outcomes <- outcome{i, err} })
	}
	results := eventbus.All(len(messages), eventbus.Away("publish", context.DeadlineExceeded))
	for range messages {
		select {
		case o := <-outcomes:
			results[o.place] = b.published(o.err)
		case <-ctx.Done():
			b.doubt()
			return results
		}
	}
	return results
}

// published says whose fault it is.
func (b *Bus) published(err error) error {
	if err == nil || errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return err
	}
	b.doubt()
	return eventbus.Away("publish", err)
}
