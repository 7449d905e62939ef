package decode

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
