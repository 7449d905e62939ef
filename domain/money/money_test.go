package money_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
)

// anyMinor draws amounts over the whole range, with the ends of it often.
func anyMinor() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-1000, 1000),
		rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}),
	)
}

func anyCurrency() *rapid.Generator[currency.Currency] { return rapid.SampledFrom(currency.All()) }

// checkAgainst compares a result with the one that integers without a limit give.
func checkAgainst(t *rapid.T, operation string, got money.Money, err error, want *big.Int, cur currency.Currency) {
	switch {
	case want.IsInt64():
		if err != nil || got != money.New(want.Int64(), cur) {
			t.Fatalf("%s = %s, %v, want %s", operation, got, err, want)
		}
	case errs.CodeOf(err) != "amount_out_of_range" || errs.KindOf(err) != errs.Refused:
		t.Fatalf("%s = %s, %v, want an overflow", operation, got, err)
	}
}

func TestF18_OverflowIsNeverSilent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cur := anyCurrency().Draw(t, "currency")
		a, b := anyMinor().Draw(t, "a"), anyMinor().Draw(t, "b")
		x, y := money.New(a, cur), money.New(b, cur)
		bigA, bigB := big.NewInt(a), big.NewInt(b)

		sum, err := x.Add(y)
		checkAgainst(t, "a + b", sum, err, new(big.Int).Add(bigA, bigB), cur)
		difference, err := x.Sub(y)
		checkAgainst(t, "a - b", difference, err, new(big.Int).Sub(bigA, bigB), cur)
		opposite, err := x.Neg()
		checkAgainst(t, "-a", opposite, err, new(big.Int).Neg(bigA), cur)

		order, err := x.Cmp(y)
		if err != nil || order != bigA.Cmp(bigB) {
			t.Fatalf("Cmp(%d, %d) = %d, %v", a, b, order, err)
		}
		if x.Sign() != bigA.Sign() || x.IsZero() != (a == 0) || x.IsPositive() != (a > 0) {
			t.Fatalf("%d: sign %d, zero %v, positive %v", a, x.Sign(), x.IsZero(), x.IsPositive())
		}
	})
}

func TestCurrenciesDoNotMix(t *testing.T) {
	euro, dollar := money.New(1, currency.EUR), money.New(1, currency.USD)
	var none money.Money
	for _, pair := range [][2]money.Money{{euro, dollar}, {dollar, euro}, {euro, none}, {none, euro}, {none, none}} {
		_, addErr := pair[0].Add(pair[1])
		_, subErr := pair[0].Sub(pair[1])
		_, cmpErr := pair[0].Cmp(pair[1])
		for operation, err := range map[string]error{"Add": addErr, "Sub": subErr, "Cmp": cmpErr} {
			if errs.CodeOf(err) != "currency_mismatch" || errs.KindOf(err) != errs.Refused {
				t.Errorf("%s(%s, %s): %v", operation, pair[0], pair[1], err)
			}
		}
	}
	if _, err := none.Neg(); errs.CodeOf(err) != "currency_mismatch" {
		t.Errorf("Neg of no money: %v", err)
	}
	if euro == dollar || money.Zero(currency.EUR) == none || money.Zero(currency.EUR) != money.New(0, currency.EUR) {
		t.Error("== does not tell currencies apart")
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := money.Parse("1234567.89", currency.EUR); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	sum, one := money.Zero(currency.EUR), money.New(1, currency.EUR)
	for b.Loop() {
		var err error
		if sum, err = sum.Add(one); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecimal(b *testing.B) {
	m := money.New(123456789, currency.EUR)
	for b.Loop() {
		if m.Decimal() == "" {
			b.Fatal("empty")
		}
	}
}
