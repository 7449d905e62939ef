package user

import (
	"github.com/gofiber/fiber/v2"

	service "florin/service/user"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// CreateRequest is the body of POST /user.
type CreateRequest struct {
	Username string `json:"username" required:"true" minLength:"3" maxLength:"32" pattern:"^[a-zA-Z0-9._-]+$" description:"Unique, letter case aside" example:"ada"`
	Email    string `json:"email" required:"true" format:"email" maxLength:"254" description:"Unique, letter case aside" example:"ada@example.com"`
	Password string `json:"password" required:"true" format:"password" minLength:"8" maxLength:"128" description:"The most common ones are refused" example:"a-long-enough-secret"`
}

// Create serves POST /user: 201 with the user, 409 username_taken or email_taken, 422, 429
// rate_limited. It needs no credentials.
func (h *Handlers) Create(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in CreateRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	// Before anything is hashed: that costs more than all else of a request.
	if err := h.registrations.AdmitAddress(c); err != nil {
		return err
	}
	u, err := h.service.Register(c.UserContext(), service.Registration{Username: in.Username, Email: in.Email, Password: in.Password},
		middleware.Origin(c))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderLocation, "/user/"+u.ID().String())
	return send(c, fiber.StatusCreated, u)
}
