// Package telemetry is how the program is seen from outside: log records, traces and metrics.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// The keys that the context adds to a record.
const (
	keyRequest     = "request_id"
	keyTransaction = "transaction_id"
	keyTrace       = "trace_id"
	keySpan        = "span_id"
)

// NewLogger writes one JSON object a line. A record tells the request, the transaction and the span of its context unless
// it names them itself, and what looks secret is masked: a last line of defence, not a licence to log secrets.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(contextHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})})
}

// contextHandler adds what the context knows.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, record slog.Record) error {
	attrs := contextAttrs(ctx)
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, record)
	}
	named := make(map[string]bool, record.NumAttrs())
	record.Attrs(func(a slog.Attr) bool {
		named[a.Key] = true
		return true
	})
	record = record.Clone()
	for _, a := range attrs {
		if !named[a.Key] {
			record.AddAttrs(a)
		}
	}
	return h.Handler.Handle(ctx, record)
}

func contextAttrs(ctx context.Context) []slog.Attr {
	var attrs []slog.Attr
	if id := RequestOf(ctx); id != "" {
		attrs = append(attrs, slog.String(keyRequest, id))
	}
	if id := TransactionOf(ctx); id != "" {
		attrs = append(attrs, slog.String(keyTransaction, id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String(keyTrace, span.TraceID().String()), slog.String(keySpan, span.SpanID().String()))
	}
	return attrs
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}
