package decode

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"florin/domain/cards"
	"florin/domain/errs"
)

// hasOwnForm are the members that are no free text: they are hashed, compared or counted, and never
// stored as they were sent. Everything else that is text is looked at, also what is added later.
var hasOwnForm = []string{"amount", "identity", "refresh_token"}

// refuseCards refuses a card number in any text of the body: none may be stored, shown or sent on.
// The numbers are for the provider's own form, so that no card data comes through here (PCI DSS,
// SAQ A). The body must be valid JSON.
func refuseCards(body []byte) error {
	if !cards.Suspect(body) {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil // the end: that it is JSON was seen before
		}
		if token.Kind() != '"' {
			continue
		}
		text := token.String()
		if !cards.Suspect(text) {
			continue
		}
		field, last := fieldOf(decoder.StackPointer())
		if !isOwnForm(field) && holdsCard(field, last, text) {
			return card(field, "The text")
		}
	}
}

// holdsCard: where the number of a bank account is to be, other long numbers are meant to be too.
func holdsCard(field, last, text string) bool {
	if field == "external_target" && last == "bank_account_number" {
		return cards.HoldsPrinted(text)
	}
	return cards.Holds(text)
}

// fieldOf is the member of the body that a pointer is in, and the innermost one. Names below the
// first are the client's own, and may be the number itself.
func fieldOf(pointer jsontext.Pointer) (field, last string) {
	for token := range pointer.Tokens() {
		if field == "" {
			field = token
		}
		last = token
	}
	return field, last
}

func isOwnForm(field string) bool {
	return slices.Contains(hasOwnForm, field) || strings.HasSuffix(field, "password")
}

func card(field, what string) error {
	return errs.InField(field, "card_number",
		what+" looks like the number of a payment card. Card numbers belong into the provider's own form.")
}
