package user

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	service "florin/service/user"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// InspectRequest is the body of POST /admin/users/:id/inspect.
type InspectRequest struct {
	Reason string `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"a question by phone"`
}

// EraseRequest is the body of POST /admin/users/:id/delete.
type EraseRequest struct {
	Reason   string `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"asked for by mail"`
	Password string `json:"password" required:"true" format:"password" description:"The administrator's own"`
}

// Inspect serves POST /admin/users/:id/inspect: 200 with the user; 404, 422 reason_required.
func (h *Handlers) Inspect(c *fiber.Ctx) error {
	var in InspectRequest
	a, err := administration(c, &in, &in.Reason)
	if err != nil {
		return err
	}
	u, err := h.service.Inspect(c.UserContext(), a)
	if err != nil {
		return err
	}
	return send(c, fiber.StatusOK, u)
}

// Erase serves POST /admin/users/:id/delete: 204; 401 wrong_password, 404, 409 money_on_accounts or
// own_admin, 422.
func (h *Handlers) Erase(c *fiber.Ctx) error {
	var in EraseRequest
	a, err := administration(c, &in, &in.Reason)
	if err != nil {
		return err
	}
	if in.Password == "" {
		return errs.InField("password", "required", "password is required")
	}
	if err := h.service.Erase(c.UserContext(), a, in.Password); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

func administration(c *fiber.Ctx, in any, reason *string) (service.Administration, error) {
	if err := decode.NoQuery(c); err != nil {
		return service.Administration{}, err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return service.Administration{}, err
	}
	if err := decode.Body(c, in); err != nil {
		return service.Administration{}, err
	}
	return service.Administration{Caller: middleware.Caller(c), UserID: id, Reason: *reason,
		From: middleware.Origin(c)}, nil
}
