package fx

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/govalues/decimal"
)

// CrossDigits is how many significant digits a derived rate has, rounded half to even. There are never more
// than 19 decimals, so a rate below 0.00001 has fewer digits. A rate and its derived opposite miss each other
// by less than 1 part in 10^14: going there and back gains nothing below 10^14 minor units. With 12 digits
// a loop would gain a unit at the default limit of a single amount in currencies of three and four decimals.
const CrossDigits = 15

// Cross derives the rate between two currencies from their rates in a third: of base to a and base to b it
// makes a to b. Source and time are those of the rates, which must have one source; of two times the older.
func Cross(baseToA, baseToB Rate) (Rate, error) {
	if baseToA.IsZero() || baseToB.IsZero() || baseToA.from != baseToB.from || baseToA.source != baseToB.source {
		return Rate{}, SourceDown(fmt.Errorf("no cross of %s and %s", baseToA, baseToB), "the exchange rates do not fit together")
	}
	over := new(big.Int).Mul(coefficient(baseToB), pow10(baseToA.value.Scale()))
	under := new(big.Int).Mul(coefficient(baseToA), pow10(baseToB.value.Scale()))
	at := baseToA.at
	if baseToB.at.Before(at) {
		at = baseToB.at
	}
	return NewRate(baseToA.to, baseToB.to, quotient(over, under), baseToA.source, at)
}

// Inverse derives the opposite of a rate.
func Inverse(rate Rate) (Rate, error) {
	if rate.IsZero() {
		return Rate{}, SourceDown(errors.New("inverse of no rate"), "the exchange rate is missing")
	}
	return NewRate(rate.to, rate.from, quotient(pow10(rate.value.Scale()), coefficient(rate)), rate.source, rate.at)
}

func coefficient(rate Rate) *big.Int { return new(big.Int).SetUint64(rate.value.Coef()) }

// quotient writes over / under, both positive, with CrossDigits significant digits.
func quotient(over, under *big.Int) string {
	// over/under has either as many digits before the point as the lengths differ by, or one more.
	scale := CrossDigits - (len(over.String()) - len(under.String()))
	if atScale(over, under, scale).Cmp(pow10(CrossDigits)) >= 0 {
		scale--
	}
	scale = min(max(scale, 0), decimal.MaxScale)
	return exactText(atScale(over, under, scale), scale, 0)
}

// atScale returns over / under in units of 10^-scale, rounded half to even. A scale beyond what a rate can
// have is taken for the nearest that it can have.
func atScale(over, under *big.Int, scale int) *big.Int {
	scale = min(max(scale, 0), decimal.MaxScale)
	units, rest := new(big.Int).QuoRem(new(big.Int).Mul(over, pow10(scale)), under, new(big.Int))
	switch rest.Lsh(rest, 1).Cmp(under) {
	case 1:
		units.Add(units, big.NewInt(1))
	case 0:
		units.Add(units, big.NewInt(int64(units.Bit(0)))) //nolint:gosec // 0 or 1
	}
	return units
}
