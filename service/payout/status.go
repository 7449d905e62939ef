package payout

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// Status is how far the user's account is. An account that is not complete yet is asked about; where the provider does not
// answer, what we know is told. Without an account it is the zero value.
func (s *Service) Status(ctx context.Context, userID uuid.UUID) (account.PayoutAccount, error) {
	if err := s.configured(); err != nil {
		return account.PayoutAccount{}, err
	}
	known, err := s.accounts.FindPayoutAccount(ctx, s.provider, userID)
	if errs.KindOf(err) == errs.NotFound {
		return account.PayoutAccount{}, nil
	}
	if err != nil || (known.Complete && known.PayoutsEnabled) {
		return known, err
	}
	now, err := s.onboarding.GetPayoutAccount(ctx, known.ID)
	if err != nil {
		s.log.WarnContext(ctx, "payout account not asked about", "user_id", userID, "error", err)
		return known, nil
	}
	known.Complete, known.PayoutsEnabled, known.UpdatedAt = now.Complete, now.PayoutsEnabled, now.UpdatedAt
	return known, s.accounts.UpdatePayoutAccount(ctx, known)
}
