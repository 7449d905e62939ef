package eventbus

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/pkg/telemetry"
)

// Message is an event as it goes through a broker: a CloudEvent in structured JSON, and the trace beside it.
type Message struct {
	Key  string // the transaction
	ID   string // the event
	Body []byte
	// Headers carry the trace. They may be empty.
	Headers map[string]string
}

// ContentType is the media type of a message's body.
const ContentType = "application/cloudevents+json"

var w3c = propagation.TraceContext{}

// NewMessage encodes the event. ErrTooLarge.
func NewMessage(ctx context.Context, e PositionedEvent) (Message, error) {
	body, err := MarshalCloudEvent(e.Position, e.Event)
	if err != nil {
		return Message{}, err
	}
	if len(body) > MaxEventBytes {
		return Message{}, tooLarge(e.Event, len(body))
	}
	headers := map[string]string{}
	if e.Event.TraceParent != "" && !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = telemetry.Continue(ctx, e.Event.TraceParent) // of the call that began the transaction
	}
	telemetry.Inject(ctx, propagation.MapCarrier(headers))
	return Message{Key: e.Event.TransactionID, ID: e.Event.EventID, Body: body, Headers: headers}, nil
}

// Item reads a message that a broker handed out. What cannot be read is an item too: it is set aside, never dropped.
func (m Message) Item() *Item {
	item := &Item{Raw: m.Body, Continue: func(ctx context.Context) context.Context {
		return w3c.Extract(ctx, propagation.MapCarrier(m.Headers))
	}}
	item.Event, item.Position, item.Unreadable = UnmarshalCloudEvent(m.Body)
	return item
}

// CheckSize refuses an event that could not leave. ErrTooLarge.
func CheckSize(e account.PaymentEvent) error {
	// A character may take six in JSON, and all that is not text stays below the kilobytes left: nearly every event is let
	// through without being encoded.
	const rest, perByte = 4 << 10, 6
	length := len(e.EventID) + len(e.TransactionID) + len(e.AccountID) + len(e.UserID) + len(e.Currency) + len(e.Provider) +
		len(e.CounterpartyAccountID) + len(e.CounterpartyUserID) + len(e.TraceParent)
	for name, value := range e.Metadata {
		length += len(name) + len(value) + 2
	}
	if length*perByte+rest <= MaxEventBytes {
		return nil
	}
	body, err := MarshalCloudEvent(0, e)
	if err != nil {
		return err
	}
	if len(body) > MaxEventBytes-rest {
		return tooLarge(e, len(body))
	}
	return nil
}

func tooLarge(e account.PaymentEvent, size int) error {
	return fmt.Errorf("event %s has %d bytes: %w", e.EventID, size, ErrTooLarge)
}
