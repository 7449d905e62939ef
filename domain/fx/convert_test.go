package fx_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
)

// fataler is what the fuzz, property and table tests have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkConvert compares a conversion with rational arithmetic: the exact text is the product, the amount is
// its floor or ceiling in minor units, and what does not fit is refused.
func checkConvert(t fataler, rate fx.Rate, rateValue *big.Rat, amount money.Money, rounding fx.Rounding) {
	t.Helper()
	converted, exact, err := rate.Convert(amount, rounding)
	if !amount.IsPositive() {
		if errs.CodeOf(err) != "invalid_amount" {
			t.Fatalf("%s at %s: %s, %v", amount, rate, converted, err)
		}
		return
	}
	major, ok := new(big.Rat).SetString(amount.Decimal())
	if !ok {
		t.Fatalf("%s is no decimal", amount)
	}
	product := new(big.Rat).Mul(major, rateValue)
	unit, _ := new(big.Rat).SetString("1" + "0000"[:rate.To().Digits()])
	units := new(big.Rat).Mul(product, unit)
	want := new(big.Int).Quo(units.Num(), units.Denom())
	if rounding == fx.Up && !units.IsInt() {
		want.Add(want, big.NewInt(1))
	}
	switch {
	case want.Sign() == 0:
		if errs.CodeOf(err) != "amount_too_small" || errs.KindOf(err) != errs.Refused {
			t.Fatalf("%s at %s rounded %s: %s, %v, want too small", amount, rate, rounding, converted, err)
		}
	case !want.IsInt64():
		if errs.CodeOf(err) != "amount_out_of_range" || errs.KindOf(err) != errs.Refused {
			t.Fatalf("%s at %s rounded %s: %s, %v, want out of range", amount, rate, rounding, converted, err)
		}
	default:
		exactValue, ok := new(big.Rat).SetString(exact)
		if err != nil || converted != money.New(want.Int64(), rate.To()) || !ok || exactValue.Cmp(product) != 0 {
			t.Fatalf("%s at %s rounded %s: %s (exact %s), %v, want %s units of %s",
				amount, rate, rounding, converted, exact, err, want, product.RatString())
		}
	}
}

func TestF18_ConvertAmountsPerCurrency(t *testing.T) {
	for _, c := range []struct {
		amount, from, to, rate string
		rounding               fx.Rounding
		converted, exact       string
	}{
		{"100.00", "EUR", "USD", "1.0840", fx.Down, "108.40", "108.40"},
		{"100.00", "EUR", "USD", "1.0840", fx.Up, "108.40", "108.40"},
		{"0.01", "EUR", "USD", "1.0840", fx.Down, "0.01", "0.01084"},
		{"0.01", "EUR", "USD", "1.0840", fx.Up, "0.02", "0.01084"},
		{"0.01", "USD", "EUR", "0.92", fx.Up, "0.01", "0.0092"},
		{"10.00", "EUR", "JPY", "161.65", fx.Down, "1616", "1616.5"},
		{"10.00", "EUR", "JPY", "161.65", fx.Up, "1617", "1616.5"},
		{"1", "JPY", "KWD", "0.0021", fx.Down, "0.002", "0.0021"},
		{"1", "JPY", "CLF", "0.00017", fx.Up, "0.0002", "0.00017"},
		{"0.001", "KWD", "JPY", "480", fx.Up, "1", "0.48"},
		{"1.0000", "CLF", "CLP", "39000", fx.Down, "39000", "39000"},
		{"2", "ISK", "UGX", "27.75", fx.Down, "55", "55.5"},
		{"0.01", "EUR", "USD", "0.0000000000000000001", fx.Up, "0.01", "0.000000000000000000001"},
	} {
		from, to := currency.MustParse(c.from), currency.MustParse(c.to)
		amount, err := money.Parse(c.amount, from)
		if err != nil {
			t.Fatal(err)
		}
		converted, exact, err := newRate(t, from, to, c.rate).Convert(amount, c.rounding)
		if err != nil || converted.String() != c.converted+" "+c.to || exact != c.exact {
			t.Errorf("%s at %s rounded %s = %s (exact %s), %v, want %s (exact %s)",
				amount, c.rate, c.rounding, converted, exact, err, c.converted, c.exact)
		}
	}
}

func TestF18_ConvertRefuses(t *testing.T) {
	for _, c := range []struct {
		minor    int64
		cur      currency.Currency
		rate     string
		rounding fx.Rounding
		code     string
	}{
		{1, currency.EUR, "0.92", fx.Down, "amount_too_small"},
		{1, currency.EUR, "0.0000000000000000001", fx.Down, "amount_too_small"},
		{math.MaxInt64, currency.EUR, "0.0000000000000000001", fx.Down, "amount_too_small"},
		{math.MaxInt64, currency.EUR, "1.0840", fx.Down, "amount_out_of_range"},
		{math.MaxInt64, currency.EUR, "9999999999999999999", fx.Up, "amount_out_of_range"},
		{math.MaxInt64, currency.EUR, "1.0000000000000000001", fx.Up, "rates_unavailable"},
		{math.MaxInt64, currency.EUR, "1.000000000000000001", fx.Up, "amount_out_of_range"},
		{0, currency.EUR, "1", fx.Down, "invalid_amount"},
		{-1, currency.EUR, "1", fx.Up, "invalid_amount"},
		{math.MinInt64, currency.EUR, "1", fx.Up, "invalid_amount"},
		{1, currency.USD, "1", fx.Down, "currency_mismatch"},
		{1, currency.Currency{}, "1", fx.Down, "currency_mismatch"},
		{1, currency.EUR, "1", fx.Rounding(0), "internal"},
		{1, currency.EUR, "1", fx.Rounding(3), "internal"},
	} {
		rate, err := fx.NewRate(currency.EUR, currency.USD, c.rate, "test", noon)
		var converted money.Money
		if err == nil {
			converted, _, err = rate.Convert(money.New(c.minor, c.cur), c.rounding)
		}
		if errs.CodeOf(err) != c.code || err == nil || converted != (money.Money{}) {
			t.Errorf("%d %s at %s rounded %s = %s, %v, want %s", c.minor, c.cur, c.rate, c.rounding, converted, err, c.code)
		}
	}
	if _, _, err := (fx.Rate{}).Convert(money.New(1, currency.EUR), fx.Down); err == nil {
		t.Error("no rate converts")
	}
}

// anyRate draws rates of every size that a pair of currencies has, and some beyond.
func anyRate(t *rapid.T, from, to currency.Currency) (fx.Rate, *big.Rat) {
	return drawRate(t, from, to, rapid.IntRange(1, 14).Draw(t, "decimals"))
}

// drawRate draws rates of so many decimals, at least 1, and at most ten digits.
func drawRate(t *rapid.T, from, to currency.Currency, decimals int) (fx.Rate, *big.Rat) {
	coefficient := rapid.Uint64Range(1, 9_999_999_999).Draw(t, "coefficient")
	text := fmt.Sprintf("%0*d", decimals+1, coefficient)
	text = text[:len(text)-decimals] + "." + text[len(text)-decimals:]
	rate, err := fx.NewRate(from, to, text, "test", noon)
	if err != nil {
		t.Fatalf("NewRate(%q): %v", text, err)
	}
	value, _ := new(big.Rat).SetString(text)
	return rate, value
}

func anyPair(t *rapid.T) (from, to currency.Currency) {
	from = rapid.SampledFrom(currency.All()).Draw(t, "from")
	to = rapid.SampledFrom(currency.All()).Filter(func(c currency.Currency) bool { return c != from }).Draw(t, "to")
	return from, to
}

func TestF92_ConversionIsTheExactProductRoundedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := anyPair(t)
		rate, value := anyRate(t, from, to)
		minor := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1, 10_000)).Draw(t, "minor")
		for _, rounding := range []fx.Rounding{fx.Down, fx.Up} {
			checkConvert(t, rate, value, money.New(minor, from), rounding)
		}
	})
}

func newQuote(t testing.TB, rate fx.Rate) fx.Quote {
	t.Helper()
	quote, err := fx.NewQuote(uuid.MustParse("0198c5a4-0000-7000-8000-000000000001"), rate, noon, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return quote
}

func TestQuote(t *testing.T) {
	rate := newRate(t, currency.EUR, currency.USD, "1.0840")
	quote := newQuote(t, rate)
	if quote.Rate() != rate || quote.QuotedAt() != noon || quote.ExpiresAt() != noon.Add(time.Minute) || quote.IsZero() {
		t.Errorf("quote is %+v", quote)
	}
	for after, expired := range map[time.Duration]bool{
		-time.Hour: false, 0: false, time.Minute - 1: false, time.Minute: true, time.Hour: true,
	} {
		if quote.Expired(noon.Add(after)) != expired {
			t.Errorf("expired %s after: %v", after, !expired)
		}
	}
	if loaded := fx.LoadQuote(quote.ID(), rate, quote.QuotedAt(), quote.ExpiresAt()); loaded != quote {
		t.Errorf("loaded quote is %+v", loaded)
	}
	for name, build := range map[string]func() (fx.Quote, error){
		"no id":   func() (fx.Quote, error) { return fx.NewQuote(uuid.Nil, rate, noon, time.Minute) },
		"no rate": func() (fx.Quote, error) { return fx.NewQuote(quote.ID(), fx.Rate{}, noon, time.Minute) },
		"no time": func() (fx.Quote, error) { return fx.NewQuote(quote.ID(), rate, time.Time{}, time.Minute) },
		"no life": func() (fx.Quote, error) { return fx.NewQuote(quote.ID(), rate, noon, 0) },
	} {
		if built, err := build(); err == nil || !built.IsZero() {
			t.Errorf("%s: %+v, %v", name, built, err)
		}
	}
}

func TestConversionIsProved(t *testing.T) {
	quote := newQuote(t, newRate(t, currency.EUR, currency.USD, "1.0845"))
	amount := money.New(3333, currency.EUR)
	conversion, err := quote.Convert(amount, fx.Down)
	if err != nil {
		t.Fatal(err)
	}
	if conversion.Original() != amount || conversion.Converted() != money.New(3614, currency.USD) ||
		conversion.Exact() != "36.146385" || conversion.Rate() != quote.Rate() || conversion.Rounding() != fx.Down ||
		conversion.QuotedAt() != noon || conversion.ExpiresAt() != noon.Add(time.Minute) || conversion.IsZero() {
		t.Errorf("conversion is %+v", conversion)
	}
	if err := conversion.Check(); err != nil {
		t.Error(err)
	}
	stored := func(change func(*fx.StoredConversion)) fx.Conversion {
		s := fx.StoredConversion{
			Original: conversion.Original(), Converted: conversion.Converted(), Exact: conversion.Exact(), Rate: conversion.Rate(),
			Rounding: conversion.Rounding(), QuotedAt: conversion.QuotedAt(), ExpiresAt: conversion.ExpiresAt(),
		}
		change(&s)
		return fx.LoadConversion(s)
	}
	if same := stored(func(*fx.StoredConversion) {}); same != conversion {
		t.Errorf("loaded conversion is %+v", same)
	}
	for name, change := range map[string]func(*fx.StoredConversion){
		"a cent more":       func(s *fx.StoredConversion) { s.Converted = money.New(3615, currency.USD) },
		"another currency":  func(s *fx.StoredConversion) { s.Converted = money.New(3614, currency.GBP) },
		"another original":  func(s *fx.StoredConversion) { s.Original = money.New(3334, currency.EUR) },
		"a foreign origin":  func(s *fx.StoredConversion) { s.Original = money.New(3333, currency.GBP) },
		"another rate":      func(s *fx.StoredConversion) { s.Rate = newRate(t, currency.EUR, currency.USD, "1.0846") },
		"the other way":     func(s *fx.StoredConversion) { s.Rounding = fx.Up },
		"another exact sum": func(s *fx.StoredConversion) { s.Exact = "36.146386" },
		"no rate":           func(s *fx.StoredConversion) { s.Rate = fx.Rate{} },
	} {
		err := stored(change).Check()
		if err == nil || errs.KindOf(err) != errs.Internal {
			t.Errorf("%s: Check says %v", name, err)
		}
	}
}

func TestRoundingText(t *testing.T) {
	for _, rounding := range []fx.Rounding{fx.Down, fx.Up} {
		if parsed, err := fx.ParseRounding(rounding.String()); err != nil || parsed != rounding {
			t.Errorf("ParseRounding(%q) = %s, %v", rounding, parsed, err)
		}
	}
	if parsed, err := fx.ParseRounding("even"); err == nil || parsed != 0 {
		t.Errorf("ParseRounding(even) = %s, %v", parsed, err)
	}
}

func BenchmarkConvert(b *testing.B) {
	quote := newQuote(b, newRate(b, currency.EUR, currency.USD, "1.0845"))
	amount := money.New(123456789, currency.EUR)
	for b.Loop() {
		if _, err := quote.Convert(amount, fx.Down); err != nil {
			b.Fatal(err)
		}
	}
}
