// Package fixed is the source of exchange rates that needs nobody: a table in the program, for development,
// demonstrations and tests. Its rates do not move; they carry the date that they were written down for.
package fixed

import (
	"context"
	"fmt"
	"time"

	"florin/domain/currency"
	"florin/domain/fx"
)

// Name is the name of this source on every rate, quote and conversion.
const Name = "fixed"

// Source states the built-in rates. It is immutable and safe for concurrent use.
type Source struct {
	// perEuro holds the rate from EUR to each other currency of the table.
	perEuro map[currency.Currency]fx.Rate
}

// New returns the source. A fault of the built-in table, which a test would have found, panics.
func New() *Source {
	perEuro := make(map[currency.Currency]fx.Rate, len(table))
	for _, row := range table {
		rate, err := fx.NewRate(currency.EUR, row.to, row.perEuro, Name, asOf)
		if err != nil {
			panic(fmt.Sprintf("fixed rates: %v", err))
		}
		perEuro[row.to] = rate
	}
	return &Source{perEuro: perEuro}
}

// Rate implements fx.Source. From EUR the rate is the table's text; every other one is derived, with
// fx.CrossDigits significant digits, rounded half to even. A currency outside the table, and one and the same
// twice, is no_rate; there is no other error. It does not block.
func (s *Source) Rate(_ context.Context, from, to currency.Currency) (fx.Rate, error) {
	fromRate, fromKnown := s.perEuro[from]
	toRate, toKnown := s.perEuro[to]
	switch {
	case from == to:
		return fx.Rate{}, fx.NoRate(from, to)
	case from == currency.EUR && toKnown:
		return toRate, nil
	case to == currency.EUR && fromKnown:
		return fx.Inverse(fromRate)
	case fromKnown && toKnown:
		return fx.Cross(fromRate, toRate)
	}
	return fx.Rate{}, fx.NoRate(from, to)
}

// Currencies returns the currencies that have rates here, EUR included, sorted by code.
func (s *Source) Currencies() []currency.Currency {
	var known []currency.Currency
	for _, c := range currency.All() {
		if _, ok := s.perEuro[c]; ok || c == currency.EUR {
			known = append(known, c)
		}
	}
	return known
}

// asOf is the day that the table was written down for.
var asOf = time.Date(2025, time.March, 31, 0, 0, 0, 0, time.UTC)

// table holds what one euro is worth. The figures are rounded and indicative, near the market of that day
// and good for no real trade.
var table = []struct {
	to      currency.Currency
	perEuro string
}{
	{currency.AED, "3.9812"},
	{currency.AUD, "1.7318"},
	{currency.BHD, "0.40867"},
	{currency.BRL, "6.2510"},
	{currency.CAD, "1.5530"},
	{currency.CHF, "0.9531"},
	{currency.CLP, "1027"},
	{currency.CNY, "7.8440"},
	{currency.CZK, "24.960"},
	{currency.DKK, "7.4613"},
	{currency.GBP, "0.8354"},
	{currency.HKD, "8.4140"},
	{currency.HUF, "402.35"},
	{currency.IDR, "17940"},
	{currency.ILS, "4.0080"},
	{currency.INR, "92.400"},
	{currency.ISK, "142.70"},
	{currency.JPY, "161.60"},
	{currency.KRW, "1593.0"},
	{currency.KWD, "0.33380"},
	{currency.MXN, "22.060"},
	{currency.MYR, "4.7990"},
	{currency.NOK, "11.413"},
	{currency.NZD, "1.9000"},
	{currency.PHP, "61.940"},
	{currency.PLN, "4.1840"},
	{currency.RON, "4.9771"},
	{currency.SAR, "4.0660"},
	{currency.SEK, "10.849"},
	{currency.SGD, "1.4520"},
	{currency.THB, "36.700"},
	{currency.TND, "3.3520"},
	{currency.TRY, "41.040"},
	{currency.UGX, "3960"},
	{currency.USD, "1.0840"},
	{currency.VND, "27700"},
	{currency.ZAR, "19.880"},
}
