package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/fx"
)

// WithdrawRequest asks for money to be paid out of an account.
type WithdrawRequest struct {
	Call
	Target account.ExternalTarget
}

// Withdraw holds the amount and initiates the payout. The hold becomes a debit when the provider confirms, and is
// released when the provider refuses. It blocks and refuses as Deposit does, and with
// account.ErrInsufficientFunds.
func (s *Service) Withdraw(ctx context.Context, r WithdrawRequest) (Outcome, error) {
	amount, err := s.readAmount(r.Call)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkMetadata(r.Metadata); err != nil {
		return Outcome{}, err
	}
	if err := s.checkTarget(r); err != nil {
		return Outcome{}, err
	}
	return s.initiate(ctx, initiation{
		call: r.Call, kind: account.TypeWithdraw, amount: amount, rounding: fx.Up, target: &r.Target,
	})
}

// checkTarget: a provider whose payees are onboarded pays to their accounts there, and to nothing that a request names.
func (s *Service) checkTarget(r WithdrawRequest) error {
	t, name := r.Target, r.Provider
	if name == "" {
		name = s.providers.Default
	}
	if _, onboarded := s.payees[name]; onboarded {
		if !t.IsZero() {
			return errs.InField("external_target", "not_allowed", "This provider pays to the account that you have set up with it.")
		}
		return nil
	}
	if t.IsZero() {
		return errs.InField("external_target", "required", "At least one part of the target is needed.")
	}
	if err := checkText("external_target.bank_account_number", t.BankAccountNumber, 64); err != nil {
		return err
	}
	if err := checkText("external_target.routing_number", t.RoutingNumber, 64); err != nil {
		return err
	}
	return checkText("external_target.external_wallet_address", t.ExternalWalletAddress, 128)
}
