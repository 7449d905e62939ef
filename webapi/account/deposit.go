package account

import (
	"github.com/gofiber/fiber/v2"

	accountsvc "florin/service/account"
	"florin/webapi/call"
)

// DepositRequest asks for money to be collected and credited.
type DepositRequest struct {
	MoneyRequest
	MoneySource string `json:"money_source" maxLength:"64" example:"card" description:"Where the payer's money comes from."`
	PaymentFlow string `json:"payment_flow,omitempty" maxLength:"32" description:"The provider's variant; its default where it is missing."`
}

// Deposit initiates a deposit. Nothing is credited before the provider's confirmation.
func (h *Handlers) Deposit(c *fiber.Ctx) error {
	var body DepositRequest
	asked, err := readCall(c, &body, &body.MoneyRequest)
	if err != nil {
		return err
	}
	outcome, err := h.accounts.Deposit(c.UserContext(), accountsvc.DepositRequest{
		Call: asked, MoneySource: body.MoneySource, PaymentFlow: body.PaymentFlow,
	})
	if err != nil {
		return err
	}
	return call.Send(c, asked, outcome)
}
