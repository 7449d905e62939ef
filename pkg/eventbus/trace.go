package eventbus

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
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
		attribute.Int64("florin.position", position))}
	if e.TraceParent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": e.TraceParent})
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
