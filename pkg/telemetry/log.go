// Package telemetry is how the program is seen from outside: log records, traces and metrics.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"

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
	var known [4]slog.Attr
	attrs := unnamed(record, appendContext(known[:0], ctx))
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, record)
	}
	record = record.Clone()
	record.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, record)
}

// unnamed is the attributes that the record does not name itself.
func unnamed(record slog.Record, attrs []slog.Attr) []slog.Attr {
	record.Attrs(func(named slog.Attr) bool {
		attrs = slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Key == named.Key })
		return len(attrs) > 0
	})
	return attrs
}

// appendContext adds what the context tells, at most four attributes.
func appendContext(attrs []slog.Attr, ctx context.Context) []slog.Attr {
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
