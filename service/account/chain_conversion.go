package account

import (
	"context"
	"fmt"

	"florin/domain/account"
	"florin/domain/fx"
	"florin/domain/money"
)

// conversionHandler says what each account is changed by: by the conversion stored at initiation, and by pure arithmetic.
// A quote's expiry limits initiation, never confirmation.
type conversionHandler struct{}

func (conversionHandler) Handle(_ context.Context, op *Operation) error {
	t := op.Transaction
	switch t.Type {
	case account.TypeTransfer:
		op.Debit, op.Credit = t.Posted, t.CounterpartyPosted
	case account.TypeWithdraw, account.TypeRefund, account.TypeChargeback, account.TypeCorrection:
		op.Debit = t.Posted
	case account.TypeRefundReversal, account.TypeChargebackReversal, account.TypePayoutReturn:
		op.Credit = t.Posted
	default:
		credit, err := creditOf(t, op.Moved)
		if err != nil {
			return err
		}
		op.Credit, t.Posted = credit, credit
	}
	return nil
}

// creditOf converts what came at the stored rate; where it is not what was asked, the stored conversion follows.
func creditOf(t *account.Transaction, came money.Money) (money.Money, error) {
	if t.Conversion == nil {
		return came, nil
	}
	if came == t.Conversion.Original() {
		return t.Conversion.Converted(), nil
	}
	c := t.Conversion
	converted, exact, err := c.Rate().Convert(came, c.Rounding())
	if err != nil {
		return money.Money{}, fmt.Errorf("conversion of what came: %w", err)
	}
	again := fx.LoadConversion(fx.StoredConversion{Original: came, Converted: converted, Exact: exact, Rate: c.Rate(),
		Rounding: c.Rounding(), QuotedAt: c.QuotedAt(), ExpiresAt: c.ExpiresAt()})
	t.Conversion = &again
	return converted, nil
}
