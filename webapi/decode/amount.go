package decode

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"florin/domain/errs"
)

// Amount is the decimal text of a JSON string or number exactly as it was sent; it is never made a float. Whether the
// text is an amount is for domain/money to say.
type Amount string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *Amount) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	value, err := in.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case jsontext.KindNumber:
		if significant(value) > exactDigits {
			return &json.SemanticError{Err: errInexact}
		}
		*a = Amount(value)
		return nil
	case jsontext.KindString:
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return err
		}
		*a = Amount(text)
		return nil
	}
	return &json.SemanticError{Err: errors.New("an amount is a string or a number")}
}

var _ json.UnmarshalerFrom = (*Amount)(nil)

// errInexact is refused and not malformed: it is JSON of the right type.
var errInexact = errs.New(errs.Refused, "inexact_amount",
	"a number of so many digits may have been rounded: send the amount as a string")

// exactDigits is how many significant decimal digits every IEEE 754 double keeps. A number with more
// was written by a client that keeps amounts in floats, or will be changed by one.
const exactDigits = 15

// significant counts the digits of a JSON number from the first that is not zero on, without its exponent.
func significant(number jsontext.Value) (digits int) {
	for _, b := range number {
		switch {
		case b == 'e' || b == 'E':
			return digits
		case b >= '1' && b <= '9', b == '0' && digits > 0:
			digits++
		}
	}
	return digits
}
