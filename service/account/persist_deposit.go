package account

import (
	"context"
	"fmt"

	"florin/domain/account"
	"florin/domain/ledger"
	"florin/pkg/eventbus"
)

// DepositPersistenceHandler writes a confirmed deposit: entries, status, event. The balance follows from the account.
type DepositPersistenceHandler struct{ bus eventbus.Publisher }

// Handle pulls what happened on the account and hands it to the unit of work.
func (h DepositPersistenceHandler) Handle(ctx context.Context, op *Operation) error {
	own, err := pullOne(op.Account, account.Deposited, op.Transaction)
	if err != nil {
		return err
	}
	posting, err := depositPosting(op.Transaction.Provider, op.Moved, own)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}

// pullOne is the one entry that the operation has made on the account.
func pullOne(a *account.Account, kind account.HappeningKind, t *account.Transaction) (ledger.Entry, error) {
	happened := a.Pull()
	if len(happened) != 1 || happened[0].Kind != kind || happened[0].TransactionID != t.ID {
		return ledger.Entry{}, fmt.Errorf("account %s has %d happenings, wanted one %q: %w", a.ID, len(happened), kind, ErrInconsistent)
	}
	return happened[0].Entry, nil
}

// complete posts the entries, moves the transaction and publishes the move, in the operation's unit of work.
func complete(ctx context.Context, bus eventbus.Publisher, op *Operation, posting ledger.Posting) error {
	op.Unit.AddPosting(op.Transaction.ID, posting)
	event, err := op.Transaction.Move(account.PaymentStatusCompleted, op.Now, op.Cause, nil)
	if err != nil {
		return err
	}
	return publish(ctx, bus, op, event)
}
