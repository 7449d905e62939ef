package user

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// DeleteRequest is the body of DELETE /user/:id.
type DeleteRequest struct {
	Password string `json:"password" required:"true" format:"password" description:"The user's own"`
}

// Delete serves DELETE /user/:id to the user itself: 204; 401 wrong_password, 404, 409
// money_on_accounts. The user is anonymised; its transactions stay.
func (h *Handlers) Delete(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var in DeleteRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	if in.Password == "" {
		return errs.InField("password", "required", "password is required")
	}
	if err := h.service.Delete(c.UserContext(), middleware.Caller(c), id, in.Password, middleware.Origin(c)); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}
