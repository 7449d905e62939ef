package account

import (
	"context"
	"fmt"

	"florin/domain/account"
	"florin/domain/money"
)

// moneyHandler makes money of what the provider said, checked against our row, which is the authority: less than asked is
// what came, more is a surplus. A withdrawal and a refund are what we sent: a difference to what the provider reports is
// nobody's until a person decides.
type moneyHandler struct{}

func (moneyHandler) Handle(_ context.Context, op *Operation) error {
	t := op.Transaction
	op.Moved = t.Amount
	if t.Type != account.TypeDeposit {
		if op.Event != nil && op.Event.Amount > 0 && op.Event.Currency == t.Amount.Currency().Code() && op.Event.Amount != t.Amount.Minor() {
			op.Reported = money.New(op.Event.Amount, t.Amount.Currency())
		}
		return nil
	}
	if op.Event.Currency != t.Amount.Currency().Code() {
		return fmt.Errorf("received %s for a deposit in %s: %w", op.Event.Currency, t.Amount.Currency().Code(), ErrInconsistent)
	}
	came := money.New(op.Event.Amount, t.Amount.Currency())
	if !came.IsPositive() {
		return fmt.Errorf("received %s: %w", came, ErrInconsistent)
	}
	surplus, err := came.Sub(t.Amount)
	if err != nil {
		return err
	}
	if !surplus.IsZero() {
		t.Received = &came
	}
	switch surplus.Sign() {
	case 1:
		op.Surplus = surplus
	case -1:
		op.Moved = came
	}
	return nil
}
