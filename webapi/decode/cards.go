package decode

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"florin/domain/errs"
)

// The shortest and the longest number of a payment card (ISO/IEC 7812-1).
const (
	shortestCard = 13
	longestCard  = 19
)

// hasOwnForm are the members that are no free text: what they hold is hashed, or has rules of its own under which a long
// number means something else. Everything else that is text is looked at, also what is added later.
var hasOwnForm = []string{
	"external_target", // account numbers are meant to be there; they are masked wherever they are shown
	"password", "current_password", "refresh_token", "identity", "username", "email",
	"url", "amount",
}

// refuseCards refuses a card number in any free text of the body: none may be stored, shown or sent on. The numbers are for
// the provider's own form, so that no card data comes through here (PCI DSS, SAQ A). The body must be valid JSON.
func refuseCards(body []byte) error {
	if !mayHoldCard(body) {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil // the end: that it is JSON was seen before
		}
		if token.Kind() != '"' || !holdsCard(token.String()) {
			continue
		}
		field := fieldOf(decoder.StackPointer())
		if !slices.Contains(hasOwnForm, field) {
			return errs.InField(field, "card_number",
				"The text looks like the number of a payment card. Card numbers belong into the provider's own form.")
		}
	}
}

// fieldOf is the member of the body that a pointer is in. Names below it are the client's own, and may be the number itself.
func fieldOf(pointer jsontext.Pointer) string {
	for token := range pointer.Tokens() {
		return token
	}
	return ""
}

// mayHoldCard is a quick look over the bytes: nearly no body has so many digits near each other.
func mayHoldCard(body []byte) bool {
	digits := 0
	for i, b := range body {
		switch {
		case b >= '0' && b <= '9':
			if digits++; digits >= shortestCard {
				return true
			}
		case b == '\\' && i+1 < len(body) && body[i+1] == 'u':
			return true // a digit may be written as an escape
		case b != ' ' && b != '-':
			digits = 0
		}
	}
	return false
}

// groupings are how card numbers are printed.
var groupings = [][]int{{4, 4, 4, 4}, {4, 4, 4, 4, 1}, {4, 4, 4, 4, 2}, {4, 4, 4, 4, 3}, {4, 6, 5}, {4, 6, 4}}

// holdsCard says whether the text holds the number of a card: 13 to 19 digits with the right check digit, in one piece or
// in the groups that are printed on cards, and no part of a longer word or number. A UUID or a hash is none.
func holdsCard(text string) bool {
	for at := 0; at < len(text); {
		end := at
		for end < len(text) && isDigit(text[end]) {
			end++
		}
		if end == at {
			at++
			continue
		}
		if begins(text, at) && (cardAt(text, at, []int{end - at}) || slices.ContainsFunc(groupings, func(g []int) bool { return cardAt(text, at, g) })) {
			return true
		}
		at = end
	}
	return false
}

// cardAt says whether a card's number in these groups begins there.
func cardAt(text string, at int, groups []int) bool {
	number := make([]byte, 0, longestCard)
	for i, size := range groups {
		if i > 0 {
			if at >= len(text) || (text[at] != ' ' && text[at] != '-') {
				return false
			}
			at++
		}
		if at+size > len(text) || len(number)+size > longestCard || strings.IndexFunc(text[at:at+size], notDigit) >= 0 {
			return false
		}
		number = append(number, text[at:at+size]...)
		at += size
	}
	return ends(text, at) && len(number) >= shortestCard && issued(number) && luhn(number)
}

// begins and ends say that a number is not cut out of something longer.
func begins(text string, at int) bool { return at == 0 || !isWord(text[at-1]) }
func ends(text string, at int) bool   { return at == len(text) || !isWord(text[at]) }

func isDigit(b byte) bool  { return b >= '0' && b <= '9' }
func notDigit(r rune) bool { return r < '0' || r > '9' }
func isWord(b byte) bool   { return isDigit(b) || b == '_' || (b|0x20 >= 'a' && b|0x20 <= 'z') }

// issued leaves out what no card begins with and much else does: times in milliseconds and finer, and numbers that begin
// with the date.
func issued(number []byte) bool {
	return number[0] > '1' && !bytes.HasPrefix(number, []byte("20"))
}

// luhn checks the check digit (ISO/IEC 7812-1, annex B).
func luhn(number []byte) bool {
	sum := 0
	for i := range number {
		digit := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}
