package fx_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
)

// noon is when every test here takes place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func newRate(t testing.TB, from, to currency.Currency, value string) fx.Rate {
	t.Helper()
	rate, err := fx.NewRate(from, to, value, "test", noon)
	if err != nil {
		t.Fatalf("NewRate(%s, %s, %q): %v", from, to, value, err)
	}
	return rate
}

func TestRateKeepsWhatTheSourceSaid(t *testing.T) {
	paris := time.FixedZone("CET", 3600)
	rate, err := fx.NewRate(currency.EUR, currency.USD, "1.0840", "ecb", time.Date(2026, 3, 2, 13, 0, 0, 1999, paris))
	if err != nil {
		t.Fatal(err)
	}
	if rate.From() != currency.EUR || rate.To() != currency.USD || rate.Value() != "1.0840" || rate.Source() != "ecb" {
		t.Errorf("rate is %s", rate)
	}
	if want := noon.Add(time.Microsecond); rate.At() != want {
		t.Errorf("rate is dated %s, want %s", rate.At(), want)
	}
	if (fx.Rate{}).Value() != "" || !(fx.Rate{}).IsZero() || rate.IsZero() {
		t.Error("the zero value is not no rate")
	}
}

func TestF91_AbsurdRatesCannotBeBuilt(t *testing.T) {
	bad := strings.Fields("0 0.000 -1 -0.5 NaN nan Inf -Inf Infinity +1 1e3 1E-3 .5 5. 01 1,5 0x1 1_0 null 1/2 ١")
	bad = append(bad, "", " ", " 1", "1 ", "1\n", "1.0.0",
		"12345678901234567890", "1.2345678901234567891", "0.00000000000000000001", strings.Repeat("9", 1<<20))
	for _, value := range bad {
		rate, err := fx.NewRate(currency.EUR, currency.USD, value, "test", noon)
		if errs.CodeOf(err) != "rates_unavailable" || errs.KindOf(err) != errs.Unavailable || !rate.IsZero() {
			t.Errorf("NewRate(%.40q) = %s, %v", value, rate, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("NewRate(%.40q): the error has %d bytes", value, len(err.Error()))
		}
	}
	for name, build := range map[string]func() (fx.Rate, error){
		"no from":   func() (fx.Rate, error) { return fx.NewRate(currency.Currency{}, currency.USD, "1", "test", noon) },
		"no to":     func() (fx.Rate, error) { return fx.NewRate(currency.EUR, currency.Currency{}, "1", "test", noon) },
		"same":      func() (fx.Rate, error) { return fx.NewRate(currency.EUR, currency.EUR, "1", "test", noon) },
		"no source": func() (fx.Rate, error) { return fx.NewRate(currency.EUR, currency.USD, "1", "", noon) },
		"long source": func() (fx.Rate, error) {
			return fx.NewRate(currency.EUR, currency.USD, "1", strings.Repeat("s", fx.MaxSource+1), noon)
		},
		"no time": func() (fx.Rate, error) { return fx.NewRate(currency.EUR, currency.USD, "1", "test", time.Time{}) },
	} {
		if rate, err := build(); errs.CodeOf(err) != "rates_unavailable" || !rate.IsZero() {
			t.Errorf("%s: %s, %v", name, rate, err)
		}
	}
}

func TestRateAcceptsTheEdges(t *testing.T) {
	for _, value := range []string{"1", "1.0", "0.0000000000000000001", "9999999999999999999", "1.234567890123456789",
		"0.1234567890123456789", "0.000000000000001234"} {
		if got := newRate(t, currency.EUR, currency.USD, value).Value(); got != value {
			t.Errorf("rate %q reads back %q", value, got)
		}
	}
}

func TestDerivedRates(t *testing.T) {
	for _, c := range []struct{ perA, perB, want string }{
		{"2", "3", "1.5"},
		{"3", "1", "0.333333333333333"},
		{"3", "2", "0.666666666666667"},
		{"1.0840", "1.0840", "1"},
		{"1.0840", "161.60", "149.077490774908"},
		{"161.60", "1.0840", "0.00670792079207921"},
		{"1", "1.000000000000005", "1"},
		{"1", "1.000000000000015", "1.00000000000002"},
		{"27700", "0.40867", "0.0000147534296028881"},
		{"1000000000", "0.3", "0.0000000003"},
		// Only 19 decimals are there for the quotient 3.33..E-7.
		{"3000000", "1", "0.0000003333333333333"},
		// 15 digits before the point and more.
		{"0.00003", "99999999999", "3333333333300000"},
		{"0.999999999999999999", "1", "1"},
	} {
		a, b := newRate(t, currency.EUR, currency.USD, c.perA), newRate(t, currency.EUR, currency.JPY, c.perB)
		cross, err := fx.Cross(a, b)
		if err != nil || cross.Value() != c.want || cross.From() != currency.USD || cross.To() != currency.JPY {
			t.Errorf("Cross(%s, %s) = %s, %v, want %s", c.perA, c.perB, cross, err, c.want)
		}
		if cross.Source() != "test" || cross.At() != noon {
			t.Errorf("Cross lost its source or time: %s at %s", cross, cross.At())
		}
	}
	inverse, err := fx.Inverse(newRate(t, currency.EUR, currency.USD, "1.0840"))
	if err != nil || inverse.Value() != "0.922509225092251" || inverse.From() != currency.USD || inverse.To() != currency.EUR {
		t.Errorf("Inverse = %s, %v", inverse, err)
	}
}

func TestDerivedRatesRefuse(t *testing.T) {
	usd := newRate(t, currency.EUR, currency.USD, "1.0840")
	other, err := fx.NewRate(currency.EUR, currency.JPY, "160", "another", noon)
	if err != nil {
		t.Fatal(err)
	}
	tiny, huge := newRate(t, currency.EUR, currency.USD, "0.0000000000000000001"), newRate(t, currency.EUR, currency.JPY, "9999999999999999999")
	for name, derive := range map[string]func() (fx.Rate, error){
		"cross of nothing":      func() (fx.Rate, error) { return fx.Cross(usd, fx.Rate{}) },
		"cross of two bases":    func() (fx.Rate, error) { return fx.Cross(usd, newRate(t, currency.GBP, currency.JPY, "190")) },
		"cross of two sources":  func() (fx.Rate, error) { return fx.Cross(usd, other) },
		"cross of one currency": func() (fx.Rate, error) { return fx.Cross(usd, usd) },
		"cross beyond digits":   func() (fx.Rate, error) { return fx.Cross(tiny, huge) },
		"cross that vanishes": func() (fx.Rate, error) {
			return fx.Cross(newRate(t, currency.EUR, currency.USD, "9999999999999999999"), newRate(t, currency.EUR, currency.JPY, "0.1"))
		},
		"inverse of nothing": func() (fx.Rate, error) { return fx.Inverse(fx.Rate{}) },
	} {
		if rate, err := derive(); errs.CodeOf(err) != "rates_unavailable" || !rate.IsZero() {
			t.Errorf("%s: %s, %v", name, rate, err)
		}
	}
	older, err := fx.NewRate(currency.EUR, currency.JPY, "160", "test", noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if cross, err := fx.Cross(usd, older); err != nil || cross.At() != noon.Add(-time.Hour) {
		t.Errorf("a cross is as old as its older rate: %s, %v", cross.At(), err)
	}
}

// FuzzRate compares every accepted rate, and a conversion at it, with exact rational arithmetic.
func FuzzRate(f *testing.F) {
	for _, value := range []string{"1.0840", "0", "-1", "NaN", "Inf", "1e3", "01", "+1", "0.0000000000000000001",
		"9999999999999999999", "1.2345678901234567891", "161.60", "27700", ""} {
		f.Add(value, int64(12345), "EUR", "JPY")
		f.Add(value, int64(1), "KWD", "CLF")
		f.Add(value, int64(1)<<62, "JPY", "USD")
	}
	f.Fuzz(func(t *testing.T, value string, minor int64, fromCode, toCode string) {
		from, fromErr := currency.Parse(fromCode)
		to, toErr := currency.Parse(toCode)
		if fromErr != nil || toErr != nil {
			return
		}
		rate, err := fx.NewRate(from, to, value, "fuzz", noon)
		if err != nil {
			if errs.CodeOf(err) != "rates_unavailable" {
				t.Fatalf("NewRate(%q): %v", value, err)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(value)
		if !ok || exact.Sign() <= 0 || rate.Value() != value {
			t.Fatalf("NewRate(%q) = %s", value, rate)
		}
		for _, rounding := range []fx.Rounding{fx.Down, fx.Up} {
			checkConvert(t, rate, exact, money.New(minor, from), rounding)
		}
	})
}
