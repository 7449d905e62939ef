package money_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
)

func TestF18_ParseCountsExactly(t *testing.T) {
	for _, c := range []struct {
		text, currency string
		minor          int64
		decimal        string
	}{
		{"12.34", "EUR", 1234, "12.34"},
		{"12.3", "EUR", 1230, "12.30"},
		{"12", "EUR", 1200, "12.00"},
		{"0.01", "EUR", 1, "0.01"},
		{"0", "EUR", 0, "0.00"},
		{"-0", "EUR", 0, "0.00"},
		{"-0.05", "EUR", -5, "-0.05"},
		{"-12.34", "EUR", -1234, "-12.34"},
		// The two amounts that a float multiplied by 100 gets wrong by a cent.
		{"19.99", "EUR", 1999, "19.99"},
		{"1.15", "EUR", 115, "1.15"},
		{"1200", "JPY", 1200, "1200"},
		{"-7", "JPY", -7, "-7"},
		{"5", "ISK", 5, "5"},
		{"5", "UGX", 5, "5"},
		{"1.25", "KWD", 1250, "1.250"},
		{"0.001", "KWD", 1, "0.001"},
		{"1.0001", "CLF", 10001, "1.0001"},
		{"92233720368547758.07", "EUR", 1<<63 - 1, "92233720368547758.07"},
		{"-92233720368547758.08", "EUR", -1 << 63, "-92233720368547758.08"},
		{"9223372036854775807", "JPY", 1<<63 - 1, "9223372036854775807"},
		{"-9223372036854775808", "JPY", -1 << 63, "-9223372036854775808"},
		{"922337203685477.5807", "UYW", 1<<63 - 1, "922337203685477.5807"},
	} {
		cur := currency.MustParse(c.currency)
		m, err := money.Parse(c.text, cur)
		if err != nil || m != money.New(c.minor, cur) {
			t.Errorf("Parse(%q, %s) = %s, %v, want %d", c.text, cur, m, err, c.minor)
		}
		if m.Decimal() != c.decimal || m.String() != c.decimal+" "+c.currency {
			t.Errorf("Parse(%q, %s) prints %q and %q, want %q", c.text, cur, m.Decimal(), m, c.decimal)
		}
	}
}

func TestF18_ParseRefuses(t *testing.T) {
	digits := func(n int) string { return strings.Repeat("9", n) }
	for code, cases := range map[string][][2]string{
		"invalid_amount": {
			{"", "EUR"}, {"-", "EUR"}, {".", "EUR"}, {".5", "EUR"}, {"5.", "EUR"}, {"-.5", "EUR"}, {"+5", "EUR"}, {"--5", "EUR"},
			{"01", "EUR"}, {"00", "EUR"}, {"-01.5", "EUR"}, {"1,5", "EUR"}, {"1_000", "EUR"}, {"1 000", "EUR"}, {" 1", "EUR"},
			{"1\n", "EUR"}, {"1.2.3", "EUR"}, {"1.-2", "EUR"}, {"0x10", "EUR"}, {"NaN", "EUR"}, {"Infinity", "EUR"}, {"null", "EUR"},
			{"1e400", "EUR"}, {"1e2", "EUR"}, {"1E-2", "EUR"}, {"1e", "JPY"}, {"١٢", "EUR"}, {"12.3x", "EUR"}, {"12\x00", "EUR"},
			{digits(money.MaxText + 1), "EUR"}, {"0." + strings.Repeat("0", 1<<20), "EUR"}, {digits(30) + "x", "EUR"},
		},
		"too_many_decimals": {
			{"12.345", "EUR"}, {"12.340", "EUR"}, {"0.001", "EUR"}, {"12.0", "JPY"}, {"12.5", "ISK"}, {"1.5", "UGX"},
			{"1.2500", "KWD"}, {"1.00000", "CLF"},
		},
		"amount_out_of_range": {
			{"92233720368547758.08", "EUR"}, {"-92233720368547758.09", "EUR"}, {"92233720368547759", "EUR"},
			{"9223372036854775808", "JPY"}, {"-9223372036854775809", "JPY"}, {"18446744073709551616", "JPY"},
			{"18446744073709551617", "JPY"}, {"9223372036854776", "KWD"}, {"922337203685477.5808", "UYW"},
			{digits(money.MaxText), "EUR"}, {"-" + digits(40) + ".99", "EUR"},
		},
	} {
		for _, c := range cases {
			m, err := money.Parse(c[0], currency.MustParse(c[1]))
			if errs.CodeOf(err) != code || errs.KindOf(err) != errs.Refused || m != (money.Money{}) {
				t.Errorf("Parse(%.70q, %s) = %s, %v, want %s", c[0], c[1], m, err, code)
			}
		}
	}
	if _, err := money.Parse("1", currency.Currency{}); errs.CodeOf(err) != "unknown_currency" {
		t.Errorf("Parse without a currency: %v", err)
	}
}

func TestF18_DecimalRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := money.New(anyMinor().Draw(t, "minor"), anyCurrency().Draw(t, "currency"))
		text := m.Decimal()
		back, err := money.Parse(text, m.Currency())
		if err != nil || back != m {
			t.Fatalf("%d %s prints %q and reads back %s, %v", m.Minor(), m.Currency(), text, back, err)
		}
		_, decimals, _ := strings.Cut(text, ".")
		if len(decimals) != m.Currency().Digits() {
			t.Fatalf("%q has %d decimals, %s has %d", text, len(decimals), m.Currency(), m.Currency().Digits())
		}
	})
}

func TestZeroValuePrints(t *testing.T) {
	if got := (money.Money{}).String(); got != "0 no currency" {
		t.Errorf("no money prints %q", got)
	}
}

// FuzzParseMoney compares whatever Parse accepts with exact rational arithmetic.
func FuzzParseMoney(f *testing.F) {
	for _, text := range []string{"12.34", "-0.05", "0", "1200", "1.250", "92233720368547758.07", "-92233720368547758.08",
		"92233720368547758.08", "1e400", "1e2", "+1", ".5", "01", "NaN", "12.340", "99999999999999999999999999", "1/3", "0x1p4"} {
		for _, code := range []string{"EUR", "JPY", "KWD", "CLF"} {
			f.Add(text, code)
		}
	}
	f.Fuzz(func(t *testing.T, text, code string) {
		cur, err := currency.Parse(code)
		if err != nil {
			return
		}
		m, err := money.Parse(text, cur)
		if err != nil {
			if errs.KindOf(err) != errs.Refused {
				t.Fatalf("Parse(%q, %s): %v", text, cur, err)
			}
			return
		}
		want, ok := new(big.Rat).SetString(text)
		got, printed := new(big.Rat).SetString(m.Decimal())
		if !ok || !printed || got.Cmp(want) != 0 {
			t.Fatalf("Parse(%q, %s) = %s", text, cur, m)
		}
		back, err := money.Parse(m.Decimal(), cur)
		if err != nil || back != m {
			t.Fatalf("Parse(%q, %s) = %s reads back %s, %v", text, cur, m, back, err)
		}
	})
}
