package wire

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// TraceParent is the W3C traceparent of the request's span, "" where nothing is traced.
func TraceParent(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}
