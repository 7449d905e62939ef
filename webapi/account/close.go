package account

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/problem"
	"florin/webapi/wire"
)

// CloseRequest is an empty object; the body may be missing altogether.
type CloseRequest struct{}

// Close ends an account that nothing is on.
func (h *Handlers) Close(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	if err := decode.OptionalBody(c, &CloseRequest{}); err != nil {
		return err
	}
	a, err := h.accounts.CloseAccount(c.UserContext(), middleware.Caller(c).UserID, id, problem.RequestID(c))
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, AccountOf(a))
}
