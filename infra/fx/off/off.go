// Package off is the source of exchange rates of a server that converts nothing.
package off

import (
	"context"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
)

// Name is the value of FX_SOURCE.
const Name = "off"

// Source states no rate.
type Source struct{}

var _ fx.Source = Source{}

// Rate implements fx.Source. The error is always errs.Refused, conversion_unavailable.
func (Source) Rate(context.Context, currency.Currency, currency.Currency) (fx.Rate, error) {
	return fx.Rate{}, errs.New(errs.Refused, "conversion_unavailable", "this server does not convert between currencies")
}
