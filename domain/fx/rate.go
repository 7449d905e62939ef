// Package fx turns an amount of one currency into another: a rate from a source, a quote of it that expires,
// and the conversion that is stored with its transaction. All arithmetic is on integers and exact; the one
// rounding is stated by the caller and goes against the holder.
package fx

import (
	"fmt"
	"time"

	"github.com/govalues/decimal"

	"florin/domain/currency"
)

// MaxSource is the longest name of a source, in bytes.
const MaxSource = 64

// maxValue is the longest text of a rate, in bytes: 19 digits, a leading zero and a point.
const maxValue = 21

// Rate says how many major units of To one major unit of From is worth, by which source, as of when. It is
// immutable and positive. The zero value is no rate.
type Rate struct {
	from, to currency.Currency
	value    decimal.Decimal
	source   string
	at       time.Time
}

// NewRate returns a rate. The value is plain decimal text ("1.0840") of at most 19 digits after leading
// zeros, of which at most 19 are decimals; its trailing zeros are kept. at becomes UTC in microseconds. Zero,
// negative, not-a-number, exponents, longer text, two equal or missing currencies, and a missing or overlong
// source name are refused: *errs.Error, Unavailable, rates_unavailable, for rates come from sources.
func NewRate(from, to currency.Currency, value, source string, at time.Time) (Rate, error) {
	switch {
	case from.IsZero() || to.IsZero() || from == to:
		return Rate{}, SourceDown(nil, fmt.Sprintf("a rate needs two currencies, not %q and %q", from, to))
	case source == "" || len(source) > MaxSource:
		return Rate{}, SourceDown(nil, fmt.Sprintf("a source's name has 1 to %d bytes, not %d", MaxSource, len(source)))
	case at.IsZero():
		return Rate{}, SourceDown(nil, fmt.Sprintf("the rate of %s in %s has no date", from, to))
	}
	parsed, err := parseValue(value)
	if err != nil {
		return Rate{}, SourceDown(err, fmt.Sprintf("the rate of %s in %s is not usable", from, to))
	}
	return Rate{from: from, to: to, value: parsed, source: source, at: stamp(at)}, nil
}

// parseValue reads a positive decimal exactly. The parser rounds what is too long and accepts exponents,
// signs and bare points; that the text comes back the same shows that it did nothing of the kind.
func parseValue(text string) (decimal.Decimal, error) {
	if len(text) > maxValue {
		return decimal.Decimal{}, fmt.Errorf("rate has %d bytes, at most %d are read", len(text), maxValue)
	}
	value, err := decimal.Parse(text)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("rate %q: %w", text, err)
	}
	if value.String() != text {
		return decimal.Decimal{}, fmt.Errorf("rate %q is not plain decimal text of at most %d digits", text, decimal.MaxPrec)
	}
	if !value.IsPos() {
		return decimal.Decimal{}, fmt.Errorf("rate %q is not positive", text)
	}
	return value, nil
}

// stamp is a time as everything here stores it: UTC, microseconds, no monotonic reading.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// From is the currency that the rate is of.
func (r Rate) From() currency.Currency { return r.from }

// To is the currency that the rate is in.
func (r Rate) To() currency.Currency { return r.to }

// Value is the rate as plain decimal text, as the source gave it ("1.0840"); empty for no rate.
func (r Rate) Value() string {
	if r.IsZero() {
		return ""
	}
	return r.value.String()
}

// Source is the name of who stated the rate.
func (r Rate) Source() string { return r.source }

// At is the time as of which the source states the rate, UTC.
func (r Rate) At() time.Time { return r.at }

// IsZero says that this is no rate.
func (r Rate) IsZero() bool { return r.from.IsZero() }

// String is the rate for people and logs: "1 EUR = 1.0840 USD (fixed)".
func (r Rate) String() string {
	return fmt.Sprintf("1 %s = %s %s (%s)", r.from, r.Value(), r.to, r.source)
}
