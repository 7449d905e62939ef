package fixed_test

import (
	"testing"
	"time"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
	"florin/infra/fx/fixed"
)

var _ fx.Source = (*fixed.Source)(nil)

func TestKnownRates(t *testing.T) {
	source := fixed.New()
	for _, c := range []struct{ from, to, value string }{
		{"EUR", "USD", "1.0840"},
		{"USD", "EUR", "0.922509225092251"},
		{"EUR", "KWD", "0.33380"},
		{"USD", "JPY", "149.077490774908"},
		{"VND", "BHD", "0.0000147534296028881"},
	} {
		rate, err := source.Rate(t.Context(), currency.MustParse(c.from), currency.MustParse(c.to))
		if err != nil || rate.Value() != c.value || rate.Source() != fixed.Name || rate.At() != time.Date(2025, 3, 31, 0, 0, 0, 0, time.UTC) {
			t.Errorf("%s to %s: %s at %s, %v, want %s", c.from, c.to, rate, rate.At(), err, c.value)
		}
	}
}

func TestF91_MissingRate(t *testing.T) {
	source := fixed.New()
	for _, pair := range [][2]currency.Currency{
		{currency.EUR, currency.UYW}, {currency.UYW, currency.EUR}, {currency.UYW, currency.USD}, {currency.USD, currency.UYW},
		{currency.EUR, currency.EUR}, {currency.USD, currency.USD}, {currency.UYW, currency.UYW},
		{currency.EUR, {}}, {{}, currency.EUR}, {{}, {}},
	} {
		rate, err := source.Rate(t.Context(), pair[0], pair[1])
		if errs.CodeOf(err) != "no_rate" || errs.KindOf(err) != errs.Refused || !rate.IsZero() {
			t.Errorf("%s to %s: %s, %v", pair[0], pair[1], rate, err)
		}
	}
}

func TestGuardAcceptsTheOldTable(t *testing.T) {
	guard := fx.NewGuard(fixed.New(), 0, func() time.Time { return time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC) })
	if _, err := guard.Rate(t.Context(), currency.EUR, currency.USD); err != nil {
		t.Error(err)
	}
}

// TestF92_NoPairGains goes there and back, 20 times over, between every two currencies of the table: by
// credits rounded down, and by debits rounded up, up to the default limit of a single amount (10^9 units).
func TestF92_NoPairGains(t *testing.T) {
	source := fixed.New()
	known := source.Currencies()
	if len(known) < 30 {
		t.Fatalf("the table has %d currencies", len(known))
	}
	for _, from := range known {
		for _, to := range known {
			if from == to {
				continue
			}
			there, thereErr := source.Rate(t.Context(), from, to)
			back, backErr := source.Rate(t.Context(), to, from)
			if thereErr != nil || backErr != nil {
				t.Fatalf("%s and %s: %v, %v", from, to, thereErr, backErr)
			}
			for _, minor := range amounts(from) {
				creditsNeverGain(t, money.New(minor, from), there, back)
				debitsNeverGain(t, money.New(minor, from), there, back)
			}
		}
	}
}

// amounts are small ones, odd ones, and those around the limit.
func amounts(cur currency.Currency) []int64 {
	limit := int64(1_000_000_000)
	for range cur.Digits() {
		limit *= 10
	}
	return []int64{1, 99, 1000, 1_234_567, limit/3 + 1, limit - 1, limit}
}

func creditsNeverGain(t *testing.T, start money.Money, there, back fx.Rate) {
	t.Helper()
	amount := start
	for range 20 {
		away, _, err := there.Convert(amount, fx.Down)
		if errs.CodeOf(err) == "amount_too_small" {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		home, _, err := back.Convert(away, fx.Down)
		if errs.CodeOf(err) == "amount_too_small" {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if home.Minor() > amount.Minor() {
			t.Errorf("%s became %s by way of %s", amount, home, away)
			return
		}
		amount = home
	}
}

// debitsNeverGain asks what must be paid for an amount, and what must be paid for that: never less.
func debitsNeverGain(t *testing.T, start money.Money, there, back fx.Rate) {
	t.Helper()
	amount := start
	for range 20 {
		price, _, err := there.Convert(amount, fx.Up)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := back.Convert(price, fx.Up)
		if err != nil {
			t.Fatal(err)
		}
		if again.Minor() < amount.Minor() {
			t.Errorf("%s costs %s, which costs %s", amount, price, again)
			return
		}
		amount = again
	}
}

func BenchmarkRate(b *testing.B) {
	source := fixed.New()
	for b.Loop() {
		if _, err := source.Rate(b.Context(), currency.USD, currency.JPY); err != nil {
			b.Fatal(err)
		}
	}
}
