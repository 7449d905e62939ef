package decode

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/cards"
	"florin/domain/errs"
)

// Bounds of a page.
const (
	DefaultLimit = 25
	MaxLimit     = 100
	maxValue     = 512
)

// Query is the parameters of a request, each sent at most once.
type Query map[string]string

// ReadQuery returns the query parameters. One that is not among the allowed, or sent twice, is refused.
func ReadQuery(c *fiber.Ctx, allowed ...string) (Query, error) {
	query := Query{}
	for key, value := range c.Context().QueryArgs().All() {
		name, text := string(key), string(value)
		if !contains(allowed, name) {
			return nil, inQuery(name, "unknown_parameter", "is not a parameter of this route")
		}
		if _, repeated := query[name]; repeated {
			return nil, inQuery(name, "repeated_parameter", "is sent more than once")
		}
		if len(text) > maxValue || !storable(text) {
			return nil, inQuery(name, "invalid_parameter", "is not valid")
		}
		query[name] = text
	}
	return query, nil
}

// NoQuery refuses every query parameter.
func NoQuery(c *fiber.Ctx) error {
	_, err := ReadQuery(c)
	return err
}

// Limit returns the page size: 1 to 100, 25 when it is not given.
func (q Query) Limit() (int, error) {
	text, given := q["limit"]
	if !given {
		return DefaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > MaxLimit || strconv.Itoa(limit) != text {
		return 0, inQuery("limit", "invalid_limit", "is a whole number from 1 to 100")
	}
	return limit, nil
}

// Bool returns a parameter that is "true" or "false"; false when it is not given.
func (q Query) Bool(name string) (bool, error) {
	switch text, given := q[name]; {
	case !given, text == "false":
		return false, nil
	case text == "true":
		return true, nil
	}
	return false, inQuery(name, "invalid_parameter", `is "true" or "false"`)
}

// Time returns an RFC 3339 parameter in UTC; nil when it is not given.
func (q Query) Time(name string) (*time.Time, error) {
	text, given := q[name]
	if !given {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, inQuery(name, "invalid_time", "is a time like 2026-01-31T12:00:00Z")
	}
	at = at.UTC().Truncate(time.Microsecond)
	if at.IsZero() {
		at = at.Add(time.Microsecond) // filters have the zero time for "not given", and nothing lies between
	}
	return &at, nil
}

// OneOf returns a parameter that is one of the choices; empty when it is not given.
func (q Query) OneOf(name string, choices ...string) (string, error) {
	text, given := q[name]
	if !given || contains(choices, text) {
		return text, nil
	}
	return "", inQuery(name, "invalid_parameter", "is not one of the values of this parameter")
}

// ID returns a parameter that is a UUID in the canonical form; uuid.Nil when it is not given.
func (q Query) ID(name string) (uuid.UUID, error) {
	text, given := q[name]
	if !given {
		return uuid.Nil, nil
	}
	return canonicalID(name, text)
}

// ID returns the UUID of a path parameter, which must be in the canonical form of 36 characters.
func ID(c *fiber.Ctx, name string) (uuid.UUID, error) {
	return canonicalID(name, c.Params(name))
}

func canonicalID(name, text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, inQuery(name, "malformed_id", "is not a UUID")
	}
	return id, nil
}

func inQuery(name, code, message string) error {
	if len(name) > maxName || !storable(name) || cards.Holds(name) {
		name = "?"
	}
	return &errs.Error{Kind: errs.Malformed, Code: code, Message: "a parameter " + message,
		Fields: []errs.Field{{Name: name, Code: code, Message: message}}}
}

func contains(list []string, text string) bool {
	for _, item := range list {
		if item == text {
			return true
		}
	}
	return false
}
