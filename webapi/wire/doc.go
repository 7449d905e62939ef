// Package wire is what the features of the web API have in common on the wire: the JSON of a transaction and
// of a balance, how an answer is written, and what makes two requests the same request. Features do not
// import each other; they import this.
package wire

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/money"
)

// MarshalJSON is the one way in which bodies are made. The same value always gives the same bytes.
func MarshalJSON(v any) ([]byte, error) {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("marshal answer: %w", err)
	}
	return body, nil
}

// Send answers with the value as JSON.
func Send(c *fiber.Ctx, status int, v any) error {
	body, err := MarshalJSON(v)
	if err != nil {
		return err
	}
	return sendBody(c, status, body)
}

func sendBody(c *fiber.Ctx, status int, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(body)
}

// optionalID and optionalText point to what is shown, which nobody changes before it is sent; nil where there is nothing.
func optionalID(id *uuid.UUID) *uuid.UUID {
	if *id == uuid.Nil {
		return nil
	}
	return id
}

func optionalText(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// optionalAmount is nil for the zero Money, which is an amount that is not known yet.
func optionalAmount(m money.Money) (amount, code *string) {
	if m.Currency().IsZero() {
		return nil, nil
	}
	text, currency := m.Decimal(), m.Currency().Code()
	return &text, &currency
}
