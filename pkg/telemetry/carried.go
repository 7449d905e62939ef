package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxTraceState is how much of a tracestate is kept: what W3C Trace Context asks everybody to pass
// on.
const maxTraceState = 512

// Carried is the W3C trace context of ctx as one text that can be stored: the traceparent and,
// behind a space where there is one, the tracestate. "" where nothing is traced.
func Carried(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	parent := "00-" + span.TraceID().
		String() +
		"-" + span.SpanID().
		String() +
		"-" + span.TraceFlags().
		String()
	if span.TraceState().Len() == 0 {
		return parent
	}
	state := span.TraceState().String()
	if len(state) > maxTraceState {
		return parent
	}
	return parent + " " + state
}

// Continue goes on with the trace that was stored.
func Continue(ctx context.Context, carried string) context.Context {
	parent, state := SplitCarried(carried)
	return propagation.TraceContext{}.Extract(
		ctx,
		propagation.MapCarrier{"traceparent": parent, "tracestate": state},
	)
}

// SplitCarried gives both parts of what was stored.
func SplitCarried(carried string) (traceparent, tracestate string) {
	traceparent, tracestate, _ = strings.Cut(carried, " ")
	return traceparent, tracestate
}
