package account

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	accountsvc "florin/service/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// OpenRequest asks for an account.
type OpenRequest struct {
	Currency string `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR" description:"ISO 4217, upper case."`
	Name     string `json:"name,omitempty" maxLength:"100" example:"Savings"`
}

// Open opens an account with nothing on it.
func (h *Handlers) Open(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	keyText, err := decode.IdempotencyKey(c)
	if err != nil {
		return err
	}
	var body OpenRequest
	if err := decode.Body(c, &body); err != nil {
		return err
	}
	request := accountsvc.OpenAccountRequest{UserID: middleware.Caller(c).UserID, Currency: body.Currency, Name: body.Name}
	if keyText != "" {
		fingerprint, err := wire.Fingerprint(c, body)
		if err != nil {
			return err
		}
		request.Key = &accountsvc.AccountKey{Value: keyText, Fingerprint: fingerprint, Render: renderOpened}
	}
	outcome, err := h.accounts.OpenAccount(c.UserContext(), request)
	if err != nil {
		return err
	}
	answer := outcome.Answer
	if answer == nil {
		rendered := renderOpened(outcome.Account)
		answer = &rendered
	}
	return wire.SendCreated(c, *answer, "/account/", outcome.Replayed)
}

// renderOpened makes the live answer and the one that is kept for repeats.
func renderOpened(a *account.Account) account.Answer {
	return wire.NewAnswer(fiber.StatusCreated, AccountOf(a))
}
