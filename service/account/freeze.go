package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// FreezeAccount takes an account out of use, whosever it is, with an audit row in the same commit. A withdrawal that was not sent yet
// is released by the sweep, when its next step is due; one that was sent completes. Freezing a frozen account changes nothing.
// errs.NotFound; account.ErrAccountClosed; errs.Refused "reason_required" or "invalid_reason".
func (s *Service) FreezeAccount(ctx context.Context, accountID uuid.UUID, by account.Operator) (*account.Account, error) {
	return s.setFrozen(ctx, accountID, by, "account.freeze", (*account.Account).Freeze)
}

// UnfreezeAccount takes a frozen account back into use. Errors as FreezeAccount.
func (s *Service) UnfreezeAccount(ctx context.Context, accountID uuid.UUID, by account.Operator) (*account.Account, error) {
	return s.setFrozen(ctx, accountID, by, "account.unfreeze", (*account.Account).Unfreeze)
}

func (s *Service) setFrozen(ctx context.Context, accountID uuid.UUID, by account.Operator, action string,
	set func(*account.Account, time.Time) (bool, error)) (*account.Account, error) {
	if err := by.CheckReason(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var after *account.Account
	err = s.ledger.Do(ctx, account.Needs{Accounts: []uuid.UUID{accountID}}, func(_ context.Context, u account.UnitOfWork) error {
		a, ok := u.Account(accountID)
		if !ok {
			return errs.Missing("Account")
		}
		after = a
		now := s.now()
		changed, err := set(a, now)
		if err != nil || !changed {
			return err
		}
		u.AddAudit(account.Audit{ID: id, Actor: by.Name, Action: action, Subject: accountID.String(), Reason: by.Reason,
			IP: by.Address, RequestID: by.Request, At: now})
		return nil
	})
	return after, err
}
