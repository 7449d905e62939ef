package account

import "context"

type unitKey struct{}

// WithUnit returns a context that carries the unit of work. Ledger.Do hands it to its closure.
//
// The unit travels in the context, against the rule that a transaction is an explicit argument, for one reason: the
// contract of an event bus is the same for a slice in a test, a broker and the database, and so has no argument for
// a unit of work; yet the database's bus must add the event to the very unit that moves the money.
func WithUnit(ctx context.Context, u UnitOfWork) context.Context {
	return context.WithValue(ctx, unitKey{}, u)
}

// UnitFrom returns the unit of work that the context carries, false where it carries none.
func UnitFrom(ctx context.Context) (UnitOfWork, bool) {
	u, ok := ctx.Value(unitKey{}).(UnitOfWork)
	return u, ok && u != nil
}
