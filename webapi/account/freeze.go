package account

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// FreezeRequest is the body of a freeze or an unfreeze.
type FreezeRequest struct {
	Reason string `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"a court order"`
}

// Freeze serves POST /admin/accounts/:id/freeze: 200; 404, 422 account_closed or reason_required.
func (h *Handlers) Freeze(c *fiber.Ctx) error { return h.setFrozen(c, h.accounts.FreezeAccount) }

// Unfreeze serves POST /admin/accounts/:id/unfreeze, as Freeze.
func (h *Handlers) Unfreeze(c *fiber.Ctx) error { return h.setFrozen(c, h.accounts.UnfreezeAccount) }

func (h *Handlers) setFrozen(c *fiber.Ctx, set func(context.Context, uuid.UUID, account.Operator) (*account.Account, error)) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var in FreezeRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	a, err := set(c.UserContext(), id, middleware.Operator(c, in.Reason))
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, AccountOf(a))
}
