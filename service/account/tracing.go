package account

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/pkg/telemetry"
)

// paymentContext continues the trace that the payment began with, wherever it is gone on with, so that a payment is one
// trace from the request to its confirmation.
func (s *Service) paymentContext(ctx context.Context, t *account.Transaction) context.Context {
	if t.TraceParent == "" || trace.SpanContextFromContext(ctx).TraceID() == traceIDOf(t.TraceParent) {
		return ctx
	}
	return telemetry.Continue(ctx, t.TraceParent)
}

func (s *Service) startPayment(ctx context.Context, t *account.Transaction, name string) (context.Context, trace.Span) {
	return s.tracer.Start(s.paymentContext(ctx, t), name, trace.WithAttributes(
		attribute.String("florin.transaction_id", t.ID.String()), attribute.String("florin.provider", t.Provider)))
}

func traceIDOf(parent string) trace.TraceID {
	return trace.SpanContextFromContext(telemetry.Continue(context.Background(), parent)).TraceID()
}

func (s *Service) recordOf(ctx context.Context, t *account.Transaction, operation, outcome string, started, ended time.Time) account.ProviderCall {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	parent := telemetry.Carried(ctx)
	if parent == "" {
		parent = t.TraceParent
	}
	return account.ProviderCall{ID: id, TransactionID: t.ID, Attempt: t.Attempt, Operation: operation, Outcome: outcome,
		TraceParent: parent, StartedAt: started, EndedAt: ended}
}
