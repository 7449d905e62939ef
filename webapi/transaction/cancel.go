package transaction

import (
	"github.com/gofiber/fiber/v2"

	accountsvc "florin/service/account"
	"florin/webapi/call"
	"florin/webapi/decode"
)

// CancelRequest is an empty object; the body may be missing altogether.
type CancelRequest struct{}

// Cancel gives an open payment up, while its provider still allows it.
func (h *Handlers) Cancel(c *fiber.Ctx) error {
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	asked, err := call.Read(c, &CancelRequest{}, decode.OptionalBody)
	if err != nil {
		return err
	}
	outcome, err := h.transactions.CancelTransaction(c.UserContext(), accountsvc.CancelRequest{Call: asked, TransactionID: id})
	if err != nil {
		return err
	}
	return call.Send(c, asked, outcome)
}
