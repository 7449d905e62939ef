package account

import (
	"context"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// TransferPersistenceHandler writes a transfer: the entries of both sides, status, event. The balances follow from the
// accounts.
type TransferPersistenceHandler struct{ bus eventbus.Publisher }

// Handle pulls what happened on both accounts and hands it to the unit of work.
func (h TransferPersistenceHandler) Handle(ctx context.Context, op *Operation) error {
	sent, err := pullOne(op, op.Account, account.TransferSent)
	if err != nil {
		return err
	}
	received, err := pullOne(op, op.Destination, account.TransferReceived)
	if err != nil {
		return err
	}
	posting, err := transferPosting(sent, received)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}
