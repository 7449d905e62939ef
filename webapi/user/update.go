package user

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	service "florin/service/user"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// UpdateRequest is the body of PUT /user/:id; what is left out stays as it is.
type UpdateRequest struct {
	Username           *string `json:"username,omitempty" minLength:"3" maxLength:"32" pattern:"^[a-zA-Z0-9._-]+$" example:"ada"`
	Email              *string `json:"email,omitempty" format:"email" maxLength:"254" example:"ada@example.com"`
	Password           *string `json:"password,omitempty" format:"password" minLength:"8" maxLength:"128" description:"A new one ends every session of the user"`
	EmailNotifications *bool   `json:"email_notifications,omitempty" description:"Whether the user is told of payments by e-mail; true for a new user"`
	CurrentPassword    *string `json:"current_password,omitempty" format:"password" description:"The present one; a new email or password needs it"`
}

// Update serves PUT /user/:id to the user itself: 200 with the user; 401 wrong_password, 403
// password_required, 404, 409 username_taken or email_taken, 422.
func (h *Handlers) Update(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var in UpdateRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	if in.Username == nil && in.Email == nil && in.Password == nil && in.EmailNotifications == nil {
		return errs.New(errs.Refused, "nothing_to_change", "send username, email, password or email_notifications")
	}
	u, err := h.service.Update(c.UserContext(), middleware.Caller(c), id, service.Update{Username: in.Username, Email: in.Email, EmailNotifications: in.EmailNotifications,
		Password: in.Password, CurrentPassword: in.CurrentPassword}, middleware.Origin(c))
	if err != nil {
		return err
	}
	return send(c, fiber.StatusOK, u)
}
