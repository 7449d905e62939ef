package eventbus

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/pkg/telemetry"
)

// StartDelivery begins the span of handing an event to somebody, in the trace of the call that began its transaction: so
// that a payment is one trace from the request to whoever hears of it. An event without a trace gets a span of its own
// only where ctx is traced.
func StartDelivery(ctx context.Context, name string, position int64, e account.PaymentEvent) (context.Context, trace.Span) {
	here := trace.SpanContextFromContext(ctx)
	if e.TraceParent == "" && !here.IsValid() {
		return ctx, trace.SpanFromContext(ctx)
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("florin.transaction_id", e.TransactionID), attribute.String("florin.event_id", e.EventID),
		attribute.Int64("florin.position", position),
		attribute.String("messaging.operation.type", "process"), attribute.String("messaging.message.id", e.EventID))}
	if e.TraceParent != "" {
		ctx = telemetry.Continue(ctx, e.TraceParent)
		if here.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: here}))
		}
	}
	return otel.Tracer("florin/eventbus").Start(ctx, name, options...)
}

// Traced gives each call of the handler a span under the name.
func Traced(name string, handle PositionedHandler) PositionedHandler {
	return func(ctx context.Context, e PositionedEvent) error {
		ctx, span := StartDelivery(ctx, name, e.Position, e.Event)
		defer span.End()
		err := handle(ctx, e)
		if err != nil {
			// The error's text may quote what must not leave; it is in the log.
			span.SetStatus(codes.Error, "handler failed")
		}
		return err
	}
}

// messagingSystems are the brokers as the semantic conventions call them.
var messagingSystems = map[string]string{"nats": "nats", "kafka": "kafka", "redis": "redis"}

// maxLinks bounds what one span names.
const maxLinks = 32

// StartSend begins the span of a batch on its way to a broker, linked to the traces of its events. Where none of them is sampled
// there is no span. end takes the error of each event. The messages carry the traces of their payments, not this span.
func StartSend(ctx context.Context, broker Broker, events []PositionedEvent) (end func([]error)) {
	var links []trace.Link
	for _, e := range events {
		if e.Event.TraceParent == "" || len(links) == maxLinks {
			continue
		}
		began := trace.SpanContextFromContext(telemetry.Continue(context.Background(), e.Event.TraceParent))
		if began.IsSampled() {
			links = append(links, trace.Link{SpanContext: began})
		}
	}
	if len(links) == 0 {
		return func([]error) {}
	}
	_, span := otel.Tracer("florin/eventbus").Start(ctx, "send "+broker.Name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links...),
		trace.WithAttributes(attribute.String("messaging.system", messagingSystems[broker.Scheme]),
			attribute.String("messaging.operation.type", "send"), attribute.String("messaging.operation.name", "send"),
			attribute.String("messaging.destination.name", broker.Name), attribute.Int("messaging.batch.message_count", len(events))))
	return func(results []error) {
		for _, err := range results {
			if err != nil {
				// The error's text may have a host or a value in it; it is in the log.
				span.SetAttributes(attribute.String("error.type", "_OTHER"))
				span.SetStatus(codes.Error, "not all were taken")
				break
			}
		}
		span.End()
	}
}
