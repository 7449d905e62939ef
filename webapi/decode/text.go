package decode

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// storable says whether both databases can hold the text: PostgreSQL takes no U+0000.
func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// refuseNUL refuses U+0000 in any text of the body. The body must be valid JSON, in which the
// character can stand as an escape alone.
func refuseNUL(body []byte) error {
	if !bytes.Contains(body, []byte(`\u0000`)) {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil // the end: that it is JSON was seen before
		}
		if token.Kind() == '"' && !storable(token.String()) {
			field, _ := fieldOf(decoder.StackPointer())
			return inField(jsontext.Pointer("").AppendToken(field), "unstorable_text", "has the character U+0000, which no text may have")
		}
	}
}
