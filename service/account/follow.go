package account

import (
	"fmt"

	"florin/domain/account"
	"florin/domain/fx"
	"florin/domain/money"
)

// taken is how much of a payment is taken back, in the payment's currency and in the account's.
type taken struct{ amount, posted money.Money }

// takenFrom adds up what has been taken back of a payment, less what of that has come back. What
// was taken beyond the payment is none of it. With open, refunds that are still on their way count
// too.
func takenFrom(u account.UnitOfWork, of *account.Transaction, open bool) (taken, error) {
	sum := taken{money.Zero(of.Amount.Currency()), money.Zero(of.Posted.Currency())}
	var err error
	for _, f := range u.Followers(of.ID) {
		if !takesBack(f.Type) || f.IsSettlement() || f.MoneySource != "" {
			continue
		}
		if f.Status() == account.PaymentStatusCompleted || (open && !f.Status().Terminal()) {
			if sum, err = sum.plus(f, 1); err != nil {
				return taken{}, err
			}
		}
		for _, back := range u.Followers(f.ID) {
			if back.Status() != account.PaymentStatusCompleted || back.IsSettlement() {
				continue
			}
			if sum, err = sum.plus(back, -1); err != nil {
				return taken{}, err
			}
		}
	}
	return sum, nil
}

func (s taken) plus(t *account.Transaction, sign int) (taken, error) {
	step := money.Money.Add
	if sign < 0 {
		step = money.Money.Sub
	}
	amount, err := step(s.amount, t.Amount)
	if err != nil {
		return taken{}, fmt.Errorf("what follows a payment: %w", err)
	}
	posted, err := step(s.posted, t.Posted)
	if err != nil {
		return taken{}, fmt.Errorf("what follows a payment: %w", err)
	}
	return taken{amount, posted}, nil
}

// takesBack says whether a transaction of the type takes back what its payment has moved.
func takesBack(kind account.Type) bool {
	switch kind {
	case account.TypeRefund, account.TypeChargeback, account.TypePayoutReturn, account.TypeCorrection:
		return true
	default:
		return false
	}
}

// captured is what a payment has moved: what came, but no more than was asked.
func captured(t *account.Transaction) money.Money {
	if t.Received != nil && t.Received.Minor() < t.Amount.Minor() {
		return *t.Received
	}
	return t.Amount
}

// left is what of a completed payment is not taken back.
func left(u account.UnitOfWork, of *account.Transaction, open bool) (money.Money, error) {
	sum, err := takenFrom(u, of, open)
	if err != nil {
		return money.Money{}, err
	}
	return captured(of).Sub(sum.amount)
}

// priceOf says what the account is changed by when so much of a payment is taken back: what the sum of all that is taken back then
// comes to at the payment's own rate, less what was posted before. So the parts never lose or win against the whole, and
// all of it is exactly what was posted.
func priceOf(u account.UnitOfWork, of *account.Transaction, amount money.Money) (money.Money, *fx.Conversion, error) {
	if of.Conversion == nil {
		return amount, nil, nil
	}
	before, err := takenFrom(u, of, true)
	if err != nil {
		return money.Money{}, nil, err
	}
	sum, err := before.amount.Add(amount)
	if err != nil {
		return money.Money{}, nil, err
	}
	if sum.Minor() > captured(of).Minor() {
		// A refund that is on its way cannot come to its end any more.
		if before, err = takenFrom(u, of, false); err != nil {
			return money.Money{}, nil, err
		}
		if sum, err = before.amount.Add(amount); err != nil {
			return money.Money{}, nil, err
		}
	}
	after, err := worthOf(of, sum)
	if err != nil {
		return money.Money{}, nil, err
	}
	posted, err := after.Sub(before.posted)
	if err != nil {
		return money.Money{}, nil, err
	}
	if posted.Sign() < 0 {
		posted = money.Zero(posted.Currency())
	}
	conversion, err := partOf(of, amount, posted)
	return posted, conversion, err
}

// worthOf is what a part of a payment is worth to the account. What is debited is rounded up and what is credited down, and all
// of it is what was posted.
func worthOf(of *account.Transaction, part money.Money) (money.Money, error) {
	switch {
	case part.Minor() >= captured(of).Minor():
		return of.Posted, nil
	case part.IsZero():
		return money.Zero(of.Posted.Currency()), nil
	}
	rounding, minor := roundingOf(of), int64(0)
	converted, _, err := of.Conversion.Rate().Convert(part, rounding)
	switch {
	case err == nil:
		minor = min(converted.Minor(), of.Posted.Minor())
	case rounding == fx.Up:
		return money.Money{}, fmt.Errorf("worth of a part: %w", err)
	}
	return money.New(minor, of.Posted.Currency()), nil
}

func roundingOf(of *account.Transaction) fx.Rounding {
	if of.Type == account.TypeWithdraw {
		return fx.Down
	}
	return fx.Up
}

// partOf is the conversion of a part at the payment's own rate.
func partOf(of *account.Transaction, amount, posted money.Money) (*fx.Conversion, error) {
	c := of.Conversion
	_, exact, err := c.Rate().Convert(amount, fx.Up)
	if err != nil {
		return nil, fmt.Errorf("conversion of a part: %w", err)
	}
	part := fx.LoadConversion(fx.StoredConversion{Original: amount, Converted: posted, Exact: exact, Rate: c.Rate(),
		Rounding: roundingOf(of), QuotedAt: c.QuotedAt(), ExpiresAt: c.ExpiresAt()})
	return &part, nil
}
