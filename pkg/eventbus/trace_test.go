package eventbus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

func TestDeliveryIsPartOfThePaymentsTrace(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	otel.SetTracerProvider(provider)
	t.Cleanup(func() {
		otel.SetTracerProvider(noop.NewTracerProvider())
		require.NoError(t, provider.Shutdown(context.Background()))
	})

	e := eventbustest.Events(1)[0]
	refused := errors.New("refused, for a reason that nobody else should read")
	handle := eventbus.Traced("subscriber mail", func(ctx context.Context, _ eventbus.PositionedEvent) error {
		if e.TraceParent != "" {
			assert.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", trace.SpanContextFromContext(ctx).TraceID().String())
		}
		return refused
	})
	require.ErrorIs(t, handle(t.Context(), eventbus.PositionedEvent{Position: 7, Event: e}), refused)
	require.Empty(t, recorder.Ended(), "what nobody traces costs no span")

	e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	here, own := provider.Tracer("test").Start(t.Context(), "stream")
	require.ErrorIs(t, handle(here, eventbus.PositionedEvent{Position: 7, Event: e}), refused)
	spans := recorder.Ended()
	require.Len(t, spans, 1)
	assert.Equal(t, "subscriber mail", spans[0].Name())
	assert.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", spans[0].SpanContext().TraceID().String())
	assert.Equal(t, "00f067aa0ba902b7", spans[0].Parent().SpanID().String())
	require.Len(t, spans[0].Links(), 1)
	assert.Equal(t, own.SpanContext().SpanID(), spans[0].Links()[0].SpanContext.SpanID())
	assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "handler failed"}, spans[0].Status())
	assert.Empty(t, spans[0].Events())
	own.End()
}

// TestF140_EventsCarryTheirTrace: to brokers and back, tracestate included; the batch has a span that names the traces of its events.
func TestF140_EventsCarryTheirTrace(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	e := eventbustest.Events(1)[0]
	e.TraceParent = parent + " vendor=a"
	message, err := eventbus.NewMessage(t.Context(), eventbus.PositionedEvent{Position: 7, Event: e})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"traceparent": parent, "tracestate": "vendor=a"}, message.Headers)
	assert.Contains(t, string(message.Body), `"traceparent":"`+parent+`","tracestate":"vendor=a"`)
	item := message.Item()
	require.NoError(t, item.Unreadable)
	assert.Equal(t, e, item.Event)
	assert.Equal(t, "vendor=a", trace.SpanContextFromContext(item.Continue(t.Context())).TraceState().String())

	recorder := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	brokers, err := eventbus.ParseBrokers("nats://user:hunter2@host/florin.events")
	require.NoError(t, err)
	plain := e
	plain.TraceParent = ""
	eventbus.StartSend(t.Context(), brokers[0], []eventbus.PositionedEvent{{Event: plain}})(nil)
	require.Empty(t, recorder.Ended(), "what nobody traces costs no span")
	eventbus.StartSend(t.Context(), brokers[0], []eventbus.PositionedEvent{{Event: plain}, {Event: e}})([]error{nil, errors.New("hunter2")})
	span := recorder.Ended()[0]
	assert.Equal(t, "send florin.events", span.Name())
	assert.Equal(t, trace.SpanKindProducer, span.SpanKind())
	require.Len(t, span.Links(), 1)
	assert.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", span.Links()[0].SpanContext.TraceID().String())
	said := map[string]string{}
	for _, kv := range span.Attributes() {
		said[string(kv.Key)] = kv.Value.Emit()
	}
	assert.Equal(t, map[string]string{"messaging.system": "nats", "messaging.operation.type": "send", "messaging.operation.name": "send",
		"messaging.destination.name": "florin.events", "messaging.batch.message_count": "2", "error.type": "_OTHER"}, said)
	assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "not all were taken"}, span.Status())
}
