package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/fx"
)

// DepositRequest asks for money to be collected by a provider and credited to an account.
type DepositRequest struct {
	Call
	// MoneySource says where the payer's money comes from, for example "card"; for people.
	MoneySource string
	// PaymentFlow is the provider's variant; "" is its default.
	PaymentFlow string
}

// Deposit initiates a deposit. Nothing is credited until the provider confirms it. It returns once the provider has
// answered, or after Limits.ReplyWithin with the transaction still initiated; with Wait, once it is terminal or the
// wait is over. Refusals are errs.Refused and errs.NotFound and leave nothing behind.
func (s *Service) Deposit(ctx context.Context, r DepositRequest) (Outcome, error) {
	amount, err := s.readAmount(r.Call)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkMetadata(r.Metadata); err != nil {
		return Outcome{}, err
	}
	if err := checkText("money_source", r.MoneySource, 64); err != nil {
		return Outcome{}, err
	}
	if err := checkText("payment_flow", r.PaymentFlow, 32); err != nil {
		return Outcome{}, err
	}
	return s.initiate(ctx, initiation{
		call: r.Call, kind: account.TypeDeposit, amount: amount, rounding: fx.Down,
		moneySource: r.MoneySource, paymentFlow: r.PaymentFlow,
	})
}
