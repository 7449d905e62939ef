package fx

import (
	"fmt"
	"math/big"
	"strings"

	"florin/domain/errs"
	"florin/domain/money"
)

// Convert turns a positive amount of From into To and rounds it once. Beside the rounded amount it returns
// the exact product in major units as decimal text, with at least the digits of To ("108.40", "0.005").
// The errors are *errs.Error of the kind Refused:
//
//	currency_mismatch    the amount is not of From
//	invalid_amount       the amount is not above 0
//	amount_too_small     the result is 0
//	amount_out_of_range  the result is beyond int64 minor units
//
// An unknown rounding and no rate are errors of the program's own.
func (r Rate) Convert(amount money.Money, rounding Rounding) (money.Money, string, error) {
	switch {
	case r.IsZero():
		return money.Money{}, "", fmt.Errorf("convert %s: no rate", amount)
	case rounding != Down && rounding != Up:
		return money.Money{}, "", fmt.Errorf("convert %s: unknown %s", amount, rounding)
	case amount.Currency() != r.from:
		return money.Money{}, "", errs.New(errs.Refused, "currency_mismatch",
			fmt.Sprintf("an amount in %s is expected, not %s", r.from, amount))
	case !amount.IsPositive():
		return money.Money{}, "", errs.New(errs.Refused, "invalid_amount", "only an amount above 0 can be converted")
	}
	// The product in major units is product / 10^scale.
	product := new(big.Int).SetUint64(r.value.Coef())
	product.Mul(product, big.NewInt(amount.Minor()))
	scale := r.value.Scale() + r.from.Digits()

	minor := roundTo(product, scale, r.to.Digits(), rounding)
	if !minor.IsInt64() {
		return money.Money{}, "", errs.New(errs.Refused, "amount_out_of_range",
			fmt.Sprintf("%s is more %s than can be counted", amount, r.to))
	}
	if minor.Sign() == 0 {
		return money.Money{}, "", errs.New(errs.Refused, "amount_too_small",
			fmt.Sprintf("%s is less than the smallest amount of %s", amount, r.to))
	}
	return money.New(minor.Int64(), r.to), exactText(product, scale, r.to.Digits()), nil
}

// roundTo returns product / 10^scale, a positive number, in units of 10^-digits.
func roundTo(product *big.Int, scale, digits int, rounding Rounding) *big.Int {
	if digits >= scale {
		return new(big.Int).Mul(product, pow10(digits-scale))
	}
	units, rest := new(big.Int).QuoRem(product, pow10(scale-digits), new(big.Int))
	if rounding == Up && rest.Sign() != 0 {
		units.Add(units, big.NewInt(1))
	}
	return units
}

// exactText writes product / 10^scale without trailing zeros beyond the currency's digits.
func exactText(product *big.Int, scale, digits int) string {
	text := product.String()
	if missing := scale + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	whole, decimals := text[:len(text)-scale], strings.TrimRight(text[len(text)-scale:], "0")
	if missing := digits - len(decimals); missing > 0 {
		decimals += strings.Repeat("0", missing)
	}
	if decimals == "" {
		return whole
	}
	return whole + "." + decimals
}

// maxPower is beyond every power that two rates and two currencies lead to.
const maxPower = 64

// powers holds the powers of ten; they are read by many and written by none.
var powers = func() (all [maxPower]*big.Int) {
	all[0] = big.NewInt(1)
	for i := 1; i < maxPower; i++ {
		all[i] = new(big.Int).Mul(all[i-1], big.NewInt(10))
	}
	return all
}()

func pow10(exponent int) *big.Int { return powers[exponent] }
