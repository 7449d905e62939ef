package auth

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// RefreshRequest is the body of POST /auth/refresh.
type RefreshRequest struct {
	RefreshToken string `json:"refresh_token" required:"true" description:"The newest of the session. One that was used gives the same again for 10 seconds, and ends the session later"`
}

// Refresh serves POST /auth/refresh: 200 with the next tokens; 401 invalid_refresh_token, 422. It needs no other
// credentials.
func (h *Handlers) Refresh(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in RefreshRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	if err := required([2]string{"refresh_token", in.RefreshToken}); err != nil {
		return err
	}
	tokens, err := h.service.Refresh(c.UserContext(), in.RefreshToken, middleware.Origin(c))
	if err != nil {
		return err
	}
	return send(c, tokens)
}
