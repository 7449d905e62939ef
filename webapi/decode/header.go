package decode

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/domain/cards"
	"florin/domain/errs"
)

// Names of the headers of the contract.
const (
	HeaderIdempotencyKey    = "Idempotency-Key"
	HeaderIdempotencyReplay = "Idempotency-Replayed"
	HeaderPrefer            = "Prefer"
	HeaderPreferenceApplied = "Preference-Applied"
)

// MaxWait is the longest that a request may ask to be held.
const MaxWait = 30 * time.Second

const maxIdempotencyKey = 255

// IdempotencyKey returns the key, empty when the header is missing. A key that is empty, longer than 255 characters, not
// printable ASCII, or sent twice is refused with the code "invalid_idempotency_key", one that holds a card's number with
// "card_number": of the key a hash is kept, and a card's number can be found from its hash.
func IdempotencyKey(c *fiber.Ctx) (string, error) {
	values := c.Request().Header.PeekAll(HeaderIdempotencyKey)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", badKey("sent more than once")
	}
	key := string(values[0])
	if key == "" || len(key) > maxIdempotencyKey {
		return "", badKey("1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return "", badKey("printable ASCII only")
		}
	}
	if cards.Holds(key) {
		return "", card(HeaderIdempotencyKey, "The key")
	}
	return key, nil
}

func badKey(why string) error {
	return &errs.Error{Kind: errs.Malformed, Code: "invalid_idempotency_key", Message: HeaderIdempotencyKey + ": " + why,
		Fields: []errs.Field{{Name: HeaderIdempotencyKey, Code: "invalid_idempotency_key", Message: why}}}
}

// PreferWait returns how long the client wants the answer held, and whether it asked. More than 30 s becomes 30 s; say
// what was applied with ApplyWait. Other preferences are ignored, and so is a second wait, or one that is not a number
// (RFC 7240, section 2).
func PreferWait(c *fiber.Ctx) (wait time.Duration, asked bool) {
	for _, line := range c.Request().Header.PeekAll(HeaderPrefer) {
		for _, preference := range strings.Split(string(line), ",") {
			name, value, _ := strings.Cut(strings.SplitN(preference, ";", 2)[0], "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, ok := wholeSeconds(strings.Trim(strings.TrimSpace(value), `"`))
			if ok && !asked {
				wait, asked = min(seconds, MaxWait), true
			}
		}
	}
	return wait, asked
}

// ApplyWait tells the client which wait was applied.
func ApplyWait(c *fiber.Ctx, wait time.Duration) {
	c.Set(HeaderPreferenceApplied, "wait="+strconv.Itoa(int(wait/time.Second)))
}

func wholeSeconds(text string) (time.Duration, bool) {
	if len(text) == 0 || len(text) > 9 {
		return 0, false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	seconds, err := strconv.Atoi(text)
	return time.Duration(seconds) * time.Second, err == nil
}
