package wire

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	accountsvc "florin/service/account"
	"florin/webapi/decode"
)

var errNotRendered = errors.New("answer could not be rendered")

// NewAnswer is the answer that shows the value. It makes live answers and those that are kept for repeats, so
// that both are the same bytes. Status is 0 where the value cannot be shown, which sending then reports.
func NewAnswer(status int, v any) account.Answer {
	body, err := MarshalJSON(v)
	if err != nil {
		return account.Answer{}
	}
	return account.Answer{Status: status, Body: body}
}

// Render returns the converter that answers a money request of the user: 202 while the transaction is open, 200
// when it is terminal, and 200 for a dry run, which accepts nothing.
func Render(reader uuid.UUID) func(*accountsvc.Outcome) account.Answer {
	return func(o *accountsvc.Outcome) account.Answer {
		return NewAnswer(statusOf(o.Transaction), TransactionOf(o.Transaction, o.Side, reader))
	}
}

func statusOf(t *account.Transaction) int {
	if t.Status().Terminal() {
		return fiber.StatusOK
	}
	return fiber.StatusAccepted
}

// SendOutcome answers a money request: with the answer that the first such request got where there is one,
// otherwise with the transaction as it is.
func SendOutcome(c *fiber.Ctx, o accountsvc.Outcome, reader uuid.UUID) error {
	if o.Answer != nil {
		return sendAnswer(c, *o.Answer, o.Replayed)
	}
	return sendAnswer(c, Render(reader)(&o), o.Replayed)
}

// SendDryRun answers with the transaction and the balances as they would be.
func SendDryRun(c *fiber.Ctx, o accountsvc.Outcome, reader uuid.UUID) error {
	shown := TransactionOf(o.Transaction, o.Side, reader)
	shown.Balances = balancesOf(o.Balances)
	return Send(c, fiber.StatusOK, shown)
}

// SendCreated answers with what was created; base and its id are the Location.
func SendCreated(c *fiber.Ctx, answer account.Answer, base string, replayed bool) error {
	if id, ok := namedIn(answer.Body); ok {
		c.Set(fiber.HeaderLocation, base+id)
	}
	return sendAnswer(c, answer, replayed)
}

// SendAnswer sends an answer that was made before.
func SendAnswer(c *fiber.Ctx, answer account.Answer) error { return sendAnswer(c, answer, false) }

func sendAnswer(c *fiber.Ctx, answer account.Answer, replayed bool) error {
	if answer.Status == 0 {
		return errNotRendered
	}
	if replayed {
		c.Set(decode.HeaderIdempotencyReplay, "true")
	}
	if answer.Status == fiber.StatusAccepted {
		if id, ok := namedIn(answer.Body); ok {
			c.Set(fiber.HeaderLocation, "/transaction/"+id+"/status")
		}
	}
	return sendBody(c, answer.Status, answer.Body)
}

// namedIn is the id of what a body shows. A replay may come with its body alone, and has the same Location.
func namedIn(body []byte) (string, bool) {
	// What we show begins with its id, and then the rest need not be read.
	if rest, found := bytes.CutPrefix(body, []byte(`{"id":"`)); found && len(rest) > 36 && rest[36] == '"' {
		id, err := uuid.ParseBytes(rest[:36])
		return id.String(), err == nil
	}
	var named struct {
		ID uuid.UUID `json:"id"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return "", false
	}
	return named.ID.String(), true
}
