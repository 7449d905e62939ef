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
	own, err := pullOne(op, op.Account, account.Deposited)
	if err != nil {
		return err
	}
	posting, err := givenPosting(ledger.ProviderClearing(op.Transaction.Provider, op.Moved.Currency()), op.Moved, own)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}

// pullOne is the lines of the one thing that the operation has done to the account. Where it has changed what the account owes,
// or where the account could not take it all, a person is to look at it.
func pullOne(op *Operation, a *account.Account, kind account.HappeningKind) (ownSide, error) {
	happened := a.Pull()
	if len(happened) != 1 || happened[0].Kind != kind || happened[0].TransactionID != op.Transaction.ID {
		return ownSide{}, fmt.Errorf("account %s has %d happenings, wanted one %q: %w", a.ID, len(happened), kind, ErrInconsistent)
	}
	h := happened[0]
	reviewed := account.Review{ID: op.ReviewID, TransactionID: op.Transaction.ID, CreatedAt: op.Now}
	switch {
	case h.Apart.IsPositive():
		reviewed.Kind, reviewed.Detail = "account_closed", "Money came back for an account that is closed."
	case h.Debt.IsPositive():
		reviewed.Kind, reviewed.Detail = account.ReviewReceivable,
			"Money was taken back that the account's balance does not cover."
		if op.Transaction.MoneySource == account.SourceReceivable {
			reviewed.Detail = "The provider has taken back more than what was left of the payment."
		}
	case h.Debt.Sign() < 0:
		reviewed.Kind, reviewed.Detail = "receivable_settled", "A credit has settled what the account owed, or a part of it."
	}
	if reviewed.Kind != "" {
		op.Unit.AddReview(reviewed)
	}
	op.Owed = h.Debt
	return sideOf(a, h)
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
