package account

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	accountsvc "florin/service/account"
	"florin/webapi/call"
)

// TransferRequest asks for money to be moved to another account here.
type TransferRequest struct {
	MoneyRequest
	DestinationAccountID uuid.UUID `json:"destination_account_id" format:"uuid"`
}

// Transfer moves money between two accounts; it is completed when it answers.
func (h *Handlers) Transfer(c *fiber.Ctx) error {
	var body TransferRequest
	asked, err := readCall(c, &body, &body.MoneyRequest)
	if err != nil {
		return err
	}
	outcome, err := h.accounts.Transfer(c.UserContext(), accountsvc.TransferRequest{
		Call: asked, DestinationID: body.DestinationAccountID,
	})
	if err != nil {
		return err
	}
	return call.Send(c, asked, outcome)
}
