package database

import (
	"encoding/json"
	"fmt"
	"time"

	"florin/domain/currency"
	"florin/domain/fx"
	"florin/domain/money"
)

// conversionJSON is fx.Conversion as it is stored: amounts, product and rate are decimal text, so that nothing that
// reads the column can lose a digit.
type conversionJSON struct {
	Original          string    `json:"original"`
	OriginalCurrency  string    `json:"original_currency"`
	Converted         string    `json:"converted"`
	ConvertedCurrency string    `json:"converted_currency"`
	Exact             string    `json:"exact"`
	Rate              string    `json:"rate"`
	RateFrom          string    `json:"rate_from"`
	RateTo            string    `json:"rate_to"`
	Source            string    `json:"source"`
	RateAt            time.Time `json:"rate_at"`
	Rounding          string    `json:"rounding"`
	QuotedAt          time.Time `json:"quoted_at"`
	ExpiresAt         time.Time `json:"expires_at"`
}

func encodeConversion(c fx.Conversion) (nullText, error) {
	text, err := encodeJSON(conversionJSON{
		Original: c.Original().Decimal(), OriginalCurrency: c.Original().Currency().Code(),
		Converted: c.Converted().Decimal(), ConvertedCurrency: c.Converted().Currency().Code(), Exact: c.Exact(),
		Rate: c.Rate().Value(), RateFrom: c.Rate().From().Code(), RateTo: c.Rate().To().Code(),
		Source: c.Rate().Source(), RateAt: c.Rate().At(), Rounding: c.Rounding().String(),
		QuotedAt: c.QuotedAt(), ExpiresAt: c.ExpiresAt(),
	})
	return nullText(text), err
}

func decodeConversion(text nullText) (fx.Conversion, error) {
	var stored conversionJSON
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return fx.Conversion{}, fmt.Errorf("conversion: %w", err)
	}
	conversion, err := stored.toConversion()
	if err != nil {
		return fx.Conversion{}, fmt.Errorf("conversion: %w", err)
	}
	return conversion, nil
}

func (s conversionJSON) toConversion() (fx.Conversion, error) {
	original, err := moneyFromText(s.Original, s.OriginalCurrency)
	if err != nil {
		return fx.Conversion{}, err
	}
	converted, err := moneyFromText(s.Converted, s.ConvertedCurrency)
	if err != nil {
		return fx.Conversion{}, err
	}
	from, err := currency.Parse(s.RateFrom)
	if err != nil {
		return fx.Conversion{}, err
	}
	to, err := currency.Parse(s.RateTo)
	if err != nil {
		return fx.Conversion{}, err
	}
	rate, err := fx.NewRate(from, to, s.Rate, s.Source, s.RateAt)
	if err != nil {
		return fx.Conversion{}, err
	}
	rounding, err := fx.ParseRounding(s.Rounding)
	if err != nil {
		return fx.Conversion{}, err
	}
	return fx.LoadConversion(fx.StoredConversion{
		Original: original, Converted: converted, Exact: s.Exact, Rate: rate, Rounding: rounding,
		QuotedAt: s.QuotedAt, ExpiresAt: s.ExpiresAt,
	}), nil
}

func moneyFromText(text, code string) (money.Money, error) {
	c, err := currency.Parse(code)
	if err != nil {
		return money.Money{}, err
	}
	return money.Parse(text, c)
}
