package payout

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// Onboard returns where the user goes to set up, or complete, the account that withdrawals are paid to. It blocks until the
// provider answers; errs.Unavailable where it does not.
func (s *Service) Onboard(ctx context.Context, userID uuid.UUID) (url string, err error) {
	if err := s.configured(); err != nil {
		return "", err
	}
	known, err := s.accounts.FindPayoutAccount(ctx, s.provider, userID)
	if errs.KindOf(err) == errs.NotFound {
		known, err = s.create(ctx, userID)
	}
	if err != nil {
		return "", err
	}
	link, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	url, err = s.onboarding.OnboardingLink(ctx, fmt.Sprintf("florin_%s_link", link), known.ID)
	if err != nil {
		return "", atProvider(err)
	}
	return url, nil
}

// create opens the account at the provider and writes it down. Its key is the same for a user and a day, so that one which
// could not be written down is found again; of two requests at once, both find the first row.
func (s *Service) create(ctx context.Context, userID uuid.UUID) (account.PayoutAccount, error) {
	key := fmt.Sprintf("florin_%s_account_%s", userID, s.now().Format("2006-01-02"))
	made, err := s.onboarding.CreatePayoutAccount(ctx, key, userID)
	if err != nil {
		return account.PayoutAccount{}, atProvider(err)
	}
	return s.accounts.AddPayoutAccount(ctx, made)
}
