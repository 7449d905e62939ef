package auth

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// LogoutRequest is the body of POST /auth/logout, which may be missing.
type LogoutRequest struct {
	RefreshToken string `json:"refresh_token,omitempty" description:"Ends the session of this token; without it, the session of the access token ends"`
}

// Logout serves POST /auth/logout: 204; 401 without any credential. It stands behind Identify, not Authenticate: a
// refresh token is enough, so that a session can be ended after its access token has expired.
func (h *Handlers) Logout(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in LogoutRequest
	if err := decode.OptionalBody(c, &in); err != nil {
		return err
	}
	caller, known := middleware.Identified(c)
	if !known && in.RefreshToken == "" {
		return errs.New(errs.Unauthenticated, "unauthenticated", "this needs an access token or a refresh_token")
	}
	from := middleware.Origin(c)
	if in.RefreshToken != "" {
		if err := h.service.LogoutByRefresh(c.UserContext(), in.RefreshToken, from); err != nil {
			return err
		}
	}
	if known {
		if err := h.service.Logout(c.UserContext(), caller, from); err != nil {
			return err
		}
	}
	return c.SendStatus(fiber.StatusNoContent)
}
