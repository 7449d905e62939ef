// Package payout is the HTTP side of onboarding at a provider that pays out to accounts of users.
package payout

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Service is what the handlers call; *service/payout.Service is one.
type Service interface {
	Onboard(ctx context.Context, userID uuid.UUID) (url string, err error)
	Status(ctx context.Context, userID uuid.UUID) (account.PayoutAccount, error)
}

// Handlers serves /stripe/account.
type Handlers struct {
	service     Service
	onboardings *middleware.Limiter
}

// New returns the handlers over a service. onboardings bounds the calls of the provider by address;
// nil for no bound.
func New(s Service, onboardings *middleware.Limiter) *Handlers {
	return &Handlers{service: s, onboardings: onboardings}
}

// Link is where the user goes.
type Link struct {
	URL string `json:"url" required:"true" format:"uri" description:"Send the user there; it works once, for some minutes."`
}

// Status is how far the user's account is.
type Status struct {
	IsComplete     bool `json:"is_complete" required:"true" description:"The user has given all that was asked for."`
	PayoutsEnabled bool `json:"payouts_enabled" required:"true" description:"Withdrawals can be paid out to it."`
}

// Onboard serves POST /stripe/account/onboard; 429 rate_limited.
func (h *Handlers) Onboard(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	if err := h.onboardings.AdmitAddress(c); err != nil {
		return err
	}
	url, err := h.service.Onboard(c.UserContext(), middleware.Caller(c).UserID)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, Link{URL: url})
}

// Status serves GET /stripe/account/onboard/status.
func (h *Handlers) Status(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	a, err := h.service.Status(c.UserContext(), middleware.Caller(c).UserID)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, Status{IsComplete: a.Complete, PayoutsEnabled: a.PayoutsEnabled})
}
