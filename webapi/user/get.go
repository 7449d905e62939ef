package user

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// Get serves GET /user/:id to the user itself: 200, otherwise 404.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	u, err := h.service.Get(c.UserContext(), middleware.Caller(c), id)
	if err != nil {
		return err
	}
	return send(c, fiber.StatusOK, u)
}
