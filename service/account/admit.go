package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/errs"
)

// admit asks, before anything is stored and with no transaction open, whether a new payment may begin: whether there is
// somebody to pay, whether the provider can carry it, and whether the client is trying out cards. Its refusal is given in the
// unit of work, behind what is known there already: a repeat gets its first answer, whatever is refused by now.
func (s *Service) admit(ctx context.Context, provider account.PaymentProvider, in *initiation) error {
	if in.kind == account.TypeWithdraw {
		if err := s.findPayee(ctx, in); err != nil {
			return err
		}
	}
	if checker, ok := provider.(account.PaymentChecker); ok {
		if err := checker.CheckPayment(in.kind, in.amount, in.paymentFlow); err != nil {
			return err
		}
	}
	if in.kind == account.TypeDeposit {
		return s.guardCards(ctx, in.call)
	}
	return nil
}

// findPayee completes the target of a withdrawal with a provider that pays out to accounts which its payees have there.
func (s *Service) findPayee(ctx context.Context, in *initiation) error {
	accounts, ok := s.payees[in.call.Provider]
	if !ok {
		return nil
	}
	payee, err := accounts.FindPayoutAccount(ctx, in.call.Provider, in.call.UserID)
	switch {
	case isKind(err, errs.NotFound):
		return errOnboardingRequired()
	case err != nil:
		return err
	case !payee.Complete || !payee.PayoutsEnabled:
		return errOnboardingRequired()
	}
	in.target = &account.ExternalTarget{ProviderAccount: payee.ID}
	return nil
}

func errOnboardingRequired() error {
	return errs.New(errs.Refused, "onboarding_required", "Set up a payout account first; withdrawals are paid to it.")
}
