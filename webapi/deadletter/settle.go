package deadletter

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// SettleRequest is the body of a redrive or a discard.
type SettleRequest struct {
	Reason string `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"the handler is mended"`
}

// RedriveManyRequest is the body of POST /admin/dead-letters/redrive.
type RedriveManyRequest struct {
	IDs    []uuid.UUID `json:"ids" required:"true" minItems:"1" maxItems:"100" uniqueItems:"true" nullable:"false"`
	Reason string      `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"the handler is mended"`
}

// Redriven is what became of each of many.
type Redriven struct {
	Data []RedrivenOne `json:"data" nullable:"false"`
}

// RedrivenOne is what became of one of many.
type RedrivenOne struct {
	ID     uuid.UUID `json:"id" format:"uuid"`
	Status string    `json:"status" enum:"redriven,refused"`
	Code   *string   `json:"code" example:"already_settled" description:"Why it was refused; null when it was not."`
}

// Redrive serves POST /admin/dead-letters/:id/redrive: 200; 404, 409 already_settled or not_dead, 422 reason_required.
func (h *Handlers) Redrive(c *fiber.Ctx) error { return h.settle(c, h.letters.Redrive) }

// Discard serves POST /admin/dead-letters/:id/discard, as Redrive.
func (h *Handlers) Discard(c *fiber.Ctx) error { return h.settle(c, h.letters.Discard) }

func (h *Handlers) settle(c *fiber.Ctx, do func(context.Context, uuid.UUID, account.Operator) (account.DeadLetter, error)) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var in SettleRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	settled, err := do(c.UserContext(), id, middleware.Operator(c, in.Reason))
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, wholeDeadLetter(settled))
}

// RedriveMany serves POST /admin/dead-letters/redrive: 200 with what became of each; 422 reason_required or invalid_ids.
func (h *Handlers) RedriveMany(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in RedriveManyRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	results, err := h.letters.RedriveMany(c.UserContext(), in.IDs, middleware.Operator(c, in.Reason))
	if err != nil {
		return err
	}
	shown := Redriven{Data: make([]RedrivenOne, 0, len(results))}
	for _, r := range results {
		one := RedrivenOne{ID: r.ID, Status: string(account.DeadLetterRedriven)}
		if r.Err != nil {
			one.Status, one.Code = "refused", &r.Err.Code
		}
		shown.Data = append(shown.Data, one)
	}
	return wire.Send(c, fiber.StatusOK, shown)
}
