// Package money holds amounts: whole minor units of one currency, with arithmetic that reports every overflow.
package money

import (
	"math"

	"florin/domain/currency"
	"florin/domain/errs"
)

// Money is an amount of one currency in minor units (cents, yen, fils), of either sign. It is immutable and
// comparable: == holds for the same amount of the same currency. The zero value has no currency, and no
// arithmetic accepts it.
type Money struct {
	minor    int64
	currency currency.Currency
}

// New returns an amount of so many minor units of the currency.
func New(minor int64, cur currency.Currency) Money {
	return Money{minor: minor, currency: cur}
}

// Zero returns nothing of the currency.
func Zero(cur currency.Currency) Money { return Money{currency: cur} }

// Minor is the amount in minor units.
func (m Money) Minor() int64 { return m.minor }

// Currency is what the amount is of; no currency for the zero value.
func (m Money) Currency() currency.Currency { return m.currency }

// Sign is -1, 0 or 1.
func (m Money) Sign() int {
	switch {
	case m.minor < 0:
		return -1
	case m.minor > 0:
		return 1
	}
	return 0
}

// IsZero says that the amount is 0, in whatever currency.
func (m Money) IsZero() bool { return m.minor == 0 }

// IsPositive says that the amount is above 0.
func (m Money) IsPositive() bool { return m.minor > 0 }

// Add returns m + other. It refuses another currency (currency_mismatch) and a sum beyond int64
// (amount_out_of_range); both are *errs.Error of the kind Refused.
func (m Money) Add(other Money) (Money, error) {
	if err := m.sameCurrency(other); err != nil {
		return Money{}, err
	}
	sum := m.minor + other.minor
	if (sum > m.minor) != (other.minor > 0) {
		return Money{}, outOfRange()
	}
	return New(sum, m.currency), nil
}

// Sub returns m - other, with the errors of Add.
func (m Money) Sub(other Money) (Money, error) {
	if err := m.sameCurrency(other); err != nil {
		return Money{}, err
	}
	difference := m.minor - other.minor
	if (difference < m.minor) != (other.minor > 0) {
		return Money{}, outOfRange()
	}
	return New(difference, m.currency), nil
}

// Neg returns -m, with the errors of Add: the smallest int64 has no opposite.
func (m Money) Neg() (Money, error) {
	if err := m.sameCurrency(m); err != nil {
		return Money{}, err
	}
	if m.minor == math.MinInt64 {
		return Money{}, outOfRange()
	}
	return New(-m.minor, m.currency), nil
}

// Cmp returns -1, 0 or 1 as m is less than, equal to or more than other, or currency_mismatch.
func (m Money) Cmp(other Money) (int, error) {
	if err := m.sameCurrency(other); err != nil {
		return 0, err
	}
	switch {
	case m.minor < other.minor:
		return -1, nil
	case m.minor > other.minor:
		return 1, nil
	}
	return 0, nil
}

// sameCurrency refuses two currencies, and none: an amount of nothing in particular came from a bug.
func (m Money) sameCurrency(other Money) error {
	if m.currency == other.currency && !m.currency.IsZero() {
		return nil
	}
	return errs.New(errs.Refused, "currency_mismatch",
		"amounts of one currency are expected, not "+nameOf(m)+" and "+nameOf(other))
}

func nameOf(m Money) string {
	if m.currency.IsZero() {
		return "no currency"
	}
	return m.currency.Code()
}

func outOfRange() error {
	return errs.New(errs.Refused, "amount_out_of_range", "the amount is beyond what can be counted")
}
