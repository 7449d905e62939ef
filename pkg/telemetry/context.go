package telemetry

import "context"

type requestKey struct{}

type transactionKey struct{}

// WithRequest returns a context whose log records carry the request's id.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestOf returns the request's id, "" where the context has none.
func RequestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// WithTransaction returns a context whose log records carry the id of the transaction that is worked on.
func WithTransaction(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, transactionKey{}, id)
}

// TransactionOf returns the transaction's id, "" where the context has none.
func TransactionOf(ctx context.Context) string {
	id, _ := ctx.Value(transactionKey{}).(string)
	return id
}
