package account

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Get shows one account.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	a, err := h.accounts.Account(c.UserContext(), middleware.Caller(c).UserID, id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, AccountOf(a))
}
