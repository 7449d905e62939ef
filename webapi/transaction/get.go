package transaction

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Get shows one transaction as the caller's side of it.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	reader := middleware.Caller(c).UserID
	t, side, err := h.transactions.Transaction(c.UserContext(), reader, id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, wire.TransactionOf(t, side, reader))
}
