package transaction

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	accountsvc "florin/service/account"
	"florin/webapi/call"
	"florin/webapi/decode"
)

// RefundRequest asks for money of a deposit to be given back.
type RefundRequest struct {
	Amount *decode.Amount `json:"amount,omitempty" description:"In the deposit's currency; all that is left where it is missing."`
}

// Refund gives money of a completed deposit back to its payer.
func (h *Handlers) Refund(c *fiber.Ctx) error {
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var body RefundRequest
	asked, err := call.Read(c, &body, decode.OptionalBody)
	if err != nil {
		return err
	}
	if body.Amount != nil {
		if *body.Amount == "" {
			return errs.InField("amount", "invalid_amount", "The amount is empty.")
		}
		asked.Amount = string(*body.Amount)
	}
	outcome, err := h.transactions.RefundTransaction(c.UserContext(), accountsvc.RefundRequest{Call: asked, DepositID: id})
	if err != nil {
		return err
	}
	return call.Send(c, asked, outcome)
}
