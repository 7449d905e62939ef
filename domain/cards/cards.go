// Package cards finds the numbers of payment cards in text, so that none is stored, shown or sent
// on (PCI DSS, SAQ A). A card's number has the prefix of a brand, a length that this brand has, and
// the right check digit (ISO/IEC 7812-1).
package cards

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The shortest and the longest number of a card.
const (
	shortest = 13
	longest  = 19
)

// maxGap is how many signs may stand between two digits of one number. What is not seen counts for
// nothing.
const maxGap = 4

// Suspect is a quick look that allocates nothing: what it does not suspect, as plain text or as
// JSON, holds no card's number.
func Suspect[T string | []byte](text T) bool {
	digits := 0
	for i := range len(text) {
		switch b := text[i]; {
		case b >= '0' && b <= '9', b >= utf8.RuneSelf && utf8.RuneStart(b):
			if digits++; digits >= shortest {
				return true
			}
		case b == '\\', b == '%':
			return true // a digit may be written as an escape
		case b == '"', b|0x20 >= 'a' && b|0x20 <= 'z':
			digits = 0
		}
	}
	return false
}

// Holds says whether the text holds a card's number, however its digits are written and whatever
// signs stand between them. It may stand within a word, but not within a longer number. UUIDs,
// hashes, IBANs and telephone numbers are none.
func Holds(text string) bool {
	if !Suspect(text) {
		return false
	}
	if holds(text, brands) {
		return true
	}
	if !strings.Contains(text, "%") {
		return false
	}
	plain, err := url.PathUnescape(text)
	return err == nil && holds(plain, brands)
}

// HoldsPrinted is Holds for a field of account numbers. Many banks have account numbers of 13 to 19
// digits, so only what the great brands print on their cards is taken for a card there: 14 to 16
// digits.
func HoldsPrinted(text string) bool {
	return Suspect(text) && holds(text, great)
}

// number is the digits of a number, each as its value.
type number []byte

func (n number) isCard(of []brand) bool { return n.ofBrand(of) && n.luhn() }

func holds(text string, of []brand) bool {
	before := rune(-1)
	for at := 0; at < len(text); {
		if end := identifier(text, at, before); end > at {
			before, at = 'x', end
			continue
		}
		r, size := utf8.DecodeRuneInString(text[at:])
		if valueOf(r) >= 0 && valueOf(before) < 0 && numberAt(text[at:], before == '+', of) {
			return true
		}
		if !invisible(r) {
			before = r
		}
		at += size
	}
	return false
}

// numberAt says whether a number begins with the text: a group of digits, or several with signs
// between them. What begins with a plus and has no more digits than a telephone number has is one.
func numberAt(text string, plus bool, of []brand) bool {
	const phone = 15 // ITU-T E.164
	var digits [longest]byte
	count, gap := 0, 0
	ends := func() bool {
		return count >= shortest && (!plus || count > phone) && number(digits[:count]).isCard(of)
	}
	for _, r := range text {
		value := valueOf(r)
		switch {
		case value >= 0:
			if count == longest {
				return gap > 0 && ends()
			}
			if gap > 0 && ends() {
				return true
			}
			digits[count] = byte(value)
			count++
			gap = 0
		case invisible(r):
		// A colon is between the parts of a time, and in no way in which a card's number is written.
		case unicode.IsLetter(r), r == ':', r == '+' && gap > 0, gap == maxGap:
			return ends()
		default:
			gap++
		}
	}
	return ends()
}

// valueOf is the value of a decimal digit in any script and of any width, -1 for all else.
func valueOf(r rune) int {
	switch {
	case r >= '0' && r <= '9':
		return int(r - '0')
	case r < utf8.RuneSelf:
		return -1
	}
	for _, ten := range styled {
		if r >= ten.first && r < ten.first+10-rune(ten.value) {
			return ten.value + int(r-ten.first)
		}
	}
	switch r {
	case '¹':
		return 1
	case '²', '³':
		return int(r-'²') + 2
	case '⓪', '⓿':
		return 0
	}
	if !unicode.Is(unicode.Nd, r) {
		return -1
	}
	// The digits of a script are ten code points in a row (Unicode, section 4.6).
	for _, tens := range unicode.Nd.R16 {
		if r >= rune(tens.Lo) && r <= rune(tens.Hi) {
			return int(r-rune(tens.Lo)) % 10
		}
	}
	for _, tens := range unicode.Nd.R32 {
		if r >= rune(tens.Lo) && r <= rune(tens.Hi) {
			return int(r-rune(tens.Lo)) % 10
		}
	}
	return -1
}

// styled are digits that look like digits and are none to Unicode, such as those in circles: up to
// 9 in a row from the first.
var styled = []struct {
	first rune
	value int
}{{'₀', 0}, {'⁰', 0}, {'①', 1}, {'⑴', 1}, {'⒈', 1}, {'⓵', 1}, {'❶', 1}, {'➀', 1}, {'➊', 1}}

// invisible is what joins, marks or breaks text without being seen.
func invisible(r rune) bool {
	return r >= utf8.RuneSelf && unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me)
}

// identifier returns the end of an identifier for machines that begins there, or at: a UUID, a
// hash, or an IBAN.
func identifier(text string, at int, before rune) int {
	if before >= 0 && before < utf8.RuneSelf && isHex(byte(before)) {
		return at
	}
	run := at
	for run < len(text) && isHex(text[run]) {
		run++
	}
	if isUUID(text, at) && (at+36 == len(text) || !isHex(text[at+36])) {
		return at + 36
	}
	switch run - at {
	case 24, 32, 40, 56, 64, 96, 128: // object ids, MD5, SHA-1, SHA-2
		if strings.ContainsAny(text[at:run], "abcdefABCDEF") {
			return run
		}
	}
	return ibanEnd(text, at, before)
}

func isUUID(text string, at int) bool {
	if len(text)-at < 36 {
		return false
	}
	for i := range 36 {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if b := text[at+i]; dash != (b == '-') || (!dash && !isHex(b)) {
			return false
		}
	}
	return true
}

// ibanEnd returns the end of an IBAN with the right check digits (ISO 13616), or at.
func ibanEnd(text string, at int, before rune) int {
	const fewest, most = 15, 34
	if unicode.IsLetter(before) || valueOf(before) >= 0 {
		return at
	}
	// The first four signs come last in the sum, so they are kept apart until the rest is added up.
	head, sum, signs := 0, 0, 0
	for i := at; i < len(text) && signs < most; i++ {
		b := text[i]
		var value int
		switch {
		case b >= '0' && b <= '9' && signs != 0 && signs != 1:
			value = int(b - '0')
		case b >= 'A' && b <= 'Z' && signs != 2 && signs != 3:
			value = int(b-'A') + 10
		case (b == ' ' || b == '-') && signs%4 == 0 && signs > 0:
			continue
		default:
			return at
		}
		if signs < 4 {
			head = appended(head, value)
		} else {
			sum = appended(sum, value)
		}
		signs++
		ended := i+1 == len(text) || !isWord(text[i+1])
		// The head is two letters and two digits, so six digits long.
		if signs >= fewest && ended && (sum*(1_000_000%97)+head)%97 == 1 {
			return i + 1
		}
	}
	return at
}

// appended is a number modulo 97 with another one or two digits behind it; a head of six digits
// stays as it is but for that.
func appended(sum, value int) int {
	if value >= 10 {
		return (sum*100 + value) % 97
	}
	return (sum*10 + value) % 97
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f'
}

func isWord(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= utf8.RuneSelf
}

// luhn checks the check digit (ISO/IEC 7812-1, annex B).
func (n number) luhn() bool {
	sum := 0
	for i := range n {
		digit := int(n[len(n)-1-i])
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}
