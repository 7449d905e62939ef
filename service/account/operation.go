package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
	"florin/pkg/eventbus"
)

// Operation is what the handlers of a chain work on: one transaction about to be completed, with the operation's own
// copies of what it touches. Nothing in it knows how many operations its unit of work carries.
type Operation struct {
	Transaction *account.Transaction
	Account     *account.Account
	Destination *account.Account // of a transfer
	Hold        *account.Hold    // of a withdrawal, and of a refund that we started
	// Event is what the provider said; nil for a transfer, which asks nobody.
	Event *account.PaymentReceivedEvent
	Cause account.Cause
	Now   time.Time
	Unit  account.UnitOfWork
	// Opened is the first event of a transaction that begins and ends in one commit; it is published with the last.
	Opened *account.PaymentEvent
	// ReviewID is the id of the review that a debt, or money that found no account, gets.
	ReviewID uuid.UUID
	// Owed is how what the account owes has changed: set by the persistence handler.
	Owed money.Money
	// DryRun publishes nothing; the caller takes the unit of work back.
	DryRun bool

	// Moved is the provider's side of it, in the transaction's currency: set by the money handler.
	Moved money.Money
	// Reported is what the provider says that it moved, where that is not Moved: set by the money handler.
	Reported money.Money
	// Surplus is what came beyond what was asked, zero Money for none: set by the money handler.
	Surplus money.Money
	// Debit and Credit are the accounts' side: set by the conversion handler.
	Debit, Credit money.Money
}

// publish sends the events of the operation on their way with the unit of work in ctx.
func publish(ctx context.Context, bus eventbus.Publisher, op *Operation, event account.PaymentEvent) error {
	if op.DryRun {
		return nil
	}
	if op.Opened != nil {
		if err := bus.PublishPaymentEvent(ctx, toBothSides(op, *op.Opened)); err != nil {
			return err
		}
	}
	return bus.PublishPaymentEvent(ctx, toBothSides(op, event))
}

// toBothSides names the receiver of a transfer in its event, so that whoever reads the log knows whom it concerns without
// asking.
func toBothSides(op *Operation, event account.PaymentEvent) account.PaymentEvent {
	if op.Destination != nil {
		event.CounterpartyAccountID, event.CounterpartyUserID = op.Destination.ID.String(), op.Destination.UserID.String()
	}
	return event
}
