package account

import (
	"context"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// WithdrawPersistenceHandler writes a paid withdrawal: entries, status, event. The hold and the balance follow from the
// account.
type WithdrawPersistenceHandler struct{ bus eventbus.Publisher }

// Handle pulls what happened on the account and hands it to the unit of work.
func (h WithdrawPersistenceHandler) Handle(ctx context.Context, op *Operation) error {
	own, err := pullOne(op, op.Account, account.Withdrawn)
	if err != nil {
		return err
	}
	posting, err := takenPosting(clearingOf(op.Transaction), op.Moved, op.Reported, own)
	if err != nil {
		return err
	}
	return complete(ctx, h.bus, op, posting)
}
