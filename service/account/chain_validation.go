package account

import (
	"context"
	"errors"
	"fmt"

	"florin/domain/account"
)

// ErrInconsistent is an operation whose parts do not belong together. It is never the client's doing.
var ErrInconsistent = errors.New("operation is inconsistent")

// validationHandler checks that the parts are there, belong together, and that the status may move.
type validationHandler struct{}

func (validationHandler) Handle(_ context.Context, op *Operation) error {
	t := op.Transaction
	switch {
	case t == nil || op.Account == nil || op.Unit == nil:
		return fmt.Errorf("missing part: %w", ErrInconsistent)
	case op.Account.ID != t.AccountID || op.Account.UserID != t.UserID:
		return fmt.Errorf("account of another transaction: %w", ErrInconsistent)
	case t.Type == account.TypeTransfer && (op.Destination == nil || op.Destination.ID != t.CounterpartyID):
		return fmt.Errorf("destination of another transaction: %w", ErrInconsistent)
	case t.Type == account.TypeWithdraw && (op.Hold == nil || op.Hold.TransactionID != t.ID):
		return fmt.Errorf("hold of another transaction: %w", ErrInconsistent)
	case t.Type != account.TypeTransfer && (op.Event == nil || op.Event.Provider != t.Provider):
		return fmt.Errorf("event of another provider: %w", ErrInconsistent)
	case !account.CanMove(t.Status(), account.PaymentStatusCompleted):
		return fmt.Errorf("transaction is %s: %w", t.Status(), account.ErrIllegalMove)
	}
	return nil
}
