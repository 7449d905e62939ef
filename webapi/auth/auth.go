// Package auth is the HTTP side of logging in and out.
package auth

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/user"
	service "florin/service/auth"
)

// Service is what the handlers call; *service/auth.Service is one.
type Service interface {
	Login(ctx context.Context, identity, password string, from user.Origin) (service.Tokens, error)
	Refresh(ctx context.Context, refresh string, from user.Origin) (service.Tokens, error)
	Logout(ctx context.Context, who user.Principal, from user.Origin) error
	LogoutByRefresh(ctx context.Context, refresh string, from user.Origin) error
	Sessions(ctx context.Context, who user.Principal) ([]user.Session, error)
	EndSession(ctx context.Context, who user.Principal, session uuid.UUID, from user.Origin) error
	EndOtherSessions(ctx context.Context, who user.Principal, from user.Origin) error
}

// Handlers serves /auth.
type Handlers struct{ service Service }

// New returns the handlers over a service.
func New(s Service) *Handlers { return &Handlers{service: s} }

// TokenResponse is what a login and a refresh answer.
type TokenResponse struct {
	AccessToken  string `json:"access_token" required:"true" description:"Send it as Authorization: Bearer"`
	TokenType    string `json:"token_type" required:"true" enum:"Bearer" example:"Bearer"`
	ExpiresIn    int    `json:"expires_in" required:"true" description:"Seconds that the access token lives" example:"900"`
	RefreshToken string `json:"refresh_token" required:"true" description:"Good for one refresh, and for a repeat of it within 10 seconds"`
	DeviceToken  string `json:"device_token,omitempty" description:"Of a login alone: send it with the next login of the same user, so that others who guess at the password do not slow it down. It opens nothing"`
}

func send(c *fiber.Ctx, t service.Tokens) error {
	return c.JSON(TokenResponse{AccessToken: t.Access, TokenType: "Bearer",
		ExpiresIn: int(t.ExpiresIn.Seconds()), RefreshToken: t.Refresh, DeviceToken: t.Device})
}
