package account

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	accountsvc "florin/service/account"
	"florin/webapi/call"
)

// WithdrawRequest asks for money to be paid out.
type WithdrawRequest struct {
	MoneyRequest
	ExternalTarget TargetRequest `json:"external_target"`
}

// TargetRequest is where a withdrawal is to be paid to.
type TargetRequest struct {
	BankAccountNumber     string `json:"bank_account_number,omitempty" maxLength:"64" example:"DE02120300000000202051"`
	RoutingNumber         string `json:"routing_number,omitempty" maxLength:"64" example:"110000000"`
	ExternalWalletAddress string `json:"external_wallet_address,omitempty" maxLength:"128"`
}

// Withdraw holds the amount and initiates the payout.
func (h *Handlers) Withdraw(c *fiber.Ctx) error {
	var body WithdrawRequest
	asked, err := readCall(c, &body, &body.MoneyRequest)
	if err != nil {
		return err
	}
	outcome, err := h.accounts.Withdraw(c.UserContext(), accountsvc.WithdrawRequest{
		Call: asked,
		Target: account.ExternalTarget{
			BankAccountNumber:     body.ExternalTarget.BankAccountNumber,
			RoutingNumber:         body.ExternalTarget.RoutingNumber,
			ExternalWalletAddress: body.ExternalTarget.ExternalWalletAddress,
		},
	})
	if err != nil {
		return err
	}
	return call.Send(c, asked, outcome)
}
