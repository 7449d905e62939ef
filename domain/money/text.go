package money

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"florin/domain/currency"
	"florin/domain/errs"
)

// MaxText is the longest text that Parse reads, in bytes. int64 needs 21 of them.
const MaxText = 64

// Parse reads an amount from plain decimal text: "12.34", "-3", "0.05", which is the grammar of a JSON
// number without an exponent. Nothing is rounded, trimmed or guessed. The errors are *errs.Error of the kind
// Refused:
//
//	unknown_currency     cur is no currency
//	invalid_amount       not of this grammar ("1e3", "+1", ".5", "01", "1,5"), or longer than MaxText
//	too_many_decimals    more decimals than the currency has, zeros included: "12.340" EUR, "1.0" JPY
//	amount_out_of_range  beyond int64 minor units
//
// The sign is read, not judged: the caller decides whether an amount must be positive.
func Parse(text string, cur currency.Currency) (Money, error) {
	if cur.IsZero() {
		return Money{}, errs.New(errs.Refused, "unknown_currency", "an amount needs a currency")
	}
	whole, decimals, negative, ok := split(text)
	if !ok {
		return Money{}, errs.New(errs.Refused, "invalid_amount",
			`an amount is plain decimal text such as "12.34", without an exponent`)
	}
	if len(decimals) > cur.Digits() {
		return Money{}, errs.New(errs.Refused, "too_many_decimals",
			fmt.Sprintf("%s has %d decimals, the amount has %d", cur, cur.Digits(), len(decimals)))
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++ // the smallest int64 is one further from 0 than the largest
	}
	magnitude, ok := count(whole, decimals, cur.Digits(), limit)
	if !ok {
		return Money{}, outOfRange()
	}
	if negative {
		// The conversion wraps 1<<63 to the smallest int64, which its negation leaves alone.
		return New(-int64(magnitude), cur), nil //nolint:gosec // count has checked the limit
	}
	return New(int64(magnitude), cur), nil //nolint:gosec // count has checked the limit
}

// split checks the grammar and cuts the text into the digits before and after the point.
func split(text string) (whole, decimals string, negative, ok bool) {
	if len(text) > MaxText {
		return "", "", false, false
	}
	text, negative = strings.CutPrefix(text, "-")
	whole, decimals, pointed := strings.Cut(text, ".")
	switch {
	case !isDigits(whole), pointed && !isDigits(decimals), len(whole) > 1 && whole[0] == '0':
		return "", "", false, false
	}
	return whole, decimals, negative, true
}

// isDigits says that text is one or more ASCII digits.
func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// count returns the minor units that the digits amount to, false when they are more than limit, which is
// at least 9.
func count(whole, decimals string, digits int, limit uint64) (uint64, bool) {
	var minor uint64
	for i := range len(whole) + digits {
		var digit uint64
		switch {
		case i < len(whole):
			digit = uint64(whole[i] - '0')
		case i-len(whole) < len(decimals):
			digit = uint64(decimals[i-len(whole)] - '0')
		}
		if minor > (limit-digit)/10 {
			return 0, false
		}
		minor = minor*10 + digit
	}
	return minor, true
}

// Decimal is the amount in major units with exactly the currency's digits: "12.34", JPY "1200",
// KWD "-1.250". Parse reads it back to the same amount.
func (m Money) Decimal() string {
	text := strconv.FormatInt(m.minor, 10)
	digits := m.currency.Digits()
	if digits == 0 {
		return text
	}
	unsigned, negative := strings.CutPrefix(text, "-")
	if missing := digits + 1 - len(unsigned); missing > 0 {
		unsigned = strings.Repeat("0", missing) + unsigned
	}
	point := len(unsigned) - digits
	text = unsigned[:point] + "." + unsigned[point:]
	if negative {
		return "-" + text
	}
	return text
}

// String is the amount for people and logs: "12.34 EUR".
func (m Money) String() string {
	return m.Decimal() + " " + nameOf(m)
}
