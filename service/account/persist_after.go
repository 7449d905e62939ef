package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/ledger"
	"florin/pkg/eventbus"
)

// TakenPersistenceHandler writes money that has left an account after a payment was completed: entries, status, event. The
// balance, the hold and what is owed follow from the account.
type TakenPersistenceHandler struct {
	bus  eventbus.Publisher
	kind account.HappeningKind
}

// Handle pulls what happened on the account and hands it to the unit of work.
func (h TakenPersistenceHandler) Handle(ctx context.Context, op *Operation) error {
	own, err := pullOne(op, op.Account, h.kind)
	if err != nil {
		return err
	}
	posting, err := takenPosting(clearingOf(op.Transaction), op.Moved, op.Reported, own)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}

// GivenPersistenceHandler writes money that has come back after a payment was completed: entries, status, event.
type GivenPersistenceHandler struct{ bus eventbus.Publisher }

// Handle pulls what happened on the account and hands it to the unit of work.
func (h GivenPersistenceHandler) Handle(ctx context.Context, op *Operation) error {
	own, err := pullOne(op, op.Account, account.GivenBack)
	if err != nil {
		return err
	}
	posting, err := givenPosting(clearingOf(op.Transaction), op.Moved, own)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}

// clearingOf is where the provider's side of a transaction stands: with what it has paid out for us, or with what it has taken
// in.
func clearingOf(t *account.Transaction) ledger.SystemAccount {
	if t.Type == account.TypeWithdraw || t.Type == account.TypePayoutReturn {
		return ledger.PayoutClearing(t.Provider, t.Amount.Currency())
	}
	return ledger.ProviderClearing(t.Provider, t.Amount.Currency())
}
