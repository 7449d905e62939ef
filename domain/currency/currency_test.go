package currency_test

import (
	"slices"
	"strings"
	"testing"

	"florin/domain/currency"
	"florin/domain/errs"
)

func TestListIsWholeSortedAndUnique(t *testing.T) {
	all := currency.All()
	if len(all) != 165 {
		t.Errorf("the list has %d currencies, ISO list one has 165 with a minor unit", len(all))
	}
	if !slices.IsSortedFunc(all, func(a, b currency.Currency) int { return strings.Compare(a.Code(), b.Code()) }) {
		t.Error("the list is not sorted by code")
	}
	codes, numbers := map[string]bool{}, map[int]bool{}
	for _, c := range all {
		if codes[c.Code()] || numbers[c.Numeric()] {
			t.Errorf("%s (%03d) appears twice", c, c.Numeric())
		}
		codes[c.Code()], numbers[c.Numeric()] = true, true
		if len(c.Code()) != 3 || c.Numeric() < 1 || c.Numeric() > 998 || c.Name() == "" || c.IsZero() {
			t.Errorf("bad row: %q %d %q", c.Code(), c.Numeric(), c.Name())
		}
		parsed, err := currency.Parse(c.Code())
		if err != nil || parsed != c {
			t.Errorf("Parse(%q) = %v, %v", c.Code(), parsed, err)
		}
	}
}

func TestDigits(t *testing.T) {
	special := map[int][]string{
		0: strings.Fields("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
		3: strings.Fields("BHD IQD JOD KWD LYD OMR TND"),
		4: strings.Fields("CLF UYW"),
	}
	want := map[string]int{}
	for digits, codes := range special {
		for _, code := range codes {
			want[code] = digits
		}
	}
	found := 0
	for _, c := range currency.All() {
		digits, ok := want[c.Code()]
		if !ok {
			digits = 2
		} else {
			found++
		}
		if c.Digits() != digits {
			t.Errorf("%s has %d digits, want %d", c, c.Digits(), digits)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d currencies without two digits are in the list", found, len(want))
	}
}

func TestRecentAmendments(t *testing.T) {
	for code, numeric := range map[string]int{
		"SLE": 925, "UYW": 927, "VED": 926, "VES": 928, "XAD": 396, "XCG": 532, "ZWG": 924, "ALL": 8, "EUR": 978,
	} {
		c, err := currency.Parse(code)
		if err != nil || c.Numeric() != numeric || c.String() != code {
			t.Errorf("Parse(%q) = %v %d, %v, want number %d", code, c, c.Numeric(), err, numeric)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	withdrawn := strings.Fields("ANG BGN CUC HRK SLL ZWL VEF BYR DEM")
	unitless := strings.Fields("XXX XTS XAU XAG XPT XPD XDR XSU XUA XBA XBB XBC XBD")
	shapeless := []string{"", "eur", "Eur", "EU", "EURO", " EUR", "EUR ", "978", "ZZZ", "€", "EU\x00", strings.Repeat("E", 1<<16)}
	for _, code := range slices.Concat(withdrawn, unitless, shapeless) {
		c, err := currency.Parse(code)
		if errs.CodeOf(err) != "unknown_currency" || errs.KindOf(err) != errs.Refused || !c.IsZero() {
			t.Errorf("Parse(%.20q) = %v, %v", code, c, err)
		}
		if err != nil && len(err.Error()) > 150 {
			t.Errorf("Parse(%.20q) repeats the text: %d bytes", code, len(err.Error()))
		}
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("MustParse of an unknown code did not panic")
		}
	}()
	currency.MustParse("ZZZ")
}

func TestZeroValueIsNoCurrency(t *testing.T) {
	var none currency.Currency
	if !none.IsZero() || none.Code() != "" || none.String() != "" || none.Numeric() != 0 || none.Digits() != 0 || none.Name() != "" {
		t.Errorf("the zero value is %q %d", none.Code(), none.Numeric())
	}
	if none == currency.EUR || currency.EUR == currency.USD {
		t.Error("different currencies compare equal")
	}
}

func TestAllIsTheCallersOwn(t *testing.T) {
	currency.All()[0] = currency.Currency{}
	if currency.All()[0].IsZero() {
		t.Error("a caller changed the list")
	}
}
