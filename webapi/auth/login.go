package auth

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/domain/user"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// LoginRequest is the body of POST /auth/login.
type LoginRequest struct {
	Identity string `json:"identity" required:"true" maxLength:"254" description:"Username or email" example:"ada"`
	Password string `json:"password" required:"true" format:"password" example:"a-long-enough-secret"`
	// DeviceToken may be of any form: a bad one is as none.
	DeviceToken string `json:"device_token,omitempty" maxLength:"255" description:"Of the user's last login on this device"`
}

// Login serves POST /auth/login: 200 with tokens; 401 invalid_credentials, 422, 429 too_many_failures. It needs no
// credentials.
func (h *Handlers) Login(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in LoginRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	if err := required([2]string{"identity", in.Identity}, [2]string{"password", in.Password}); err != nil {
		return err
	}
	from := middleware.Origin(c)
	from.Device = in.DeviceToken
	tokens, err := h.service.Login(c.UserContext(), in.Identity, in.Password, from)
	if err != nil {
		return err
	}
	return send(c, tokens)
}

// required refuses fields, given as name and value, that are empty.
func required(fields ...[2]string) error {
	var faults []errs.Field
	for _, field := range fields {
		if field[1] == "" {
			faults = append(faults, errs.Field{Name: field[0], Code: "required", Message: "is required"})
		}
	}
	return user.Refuse(faults)
}
