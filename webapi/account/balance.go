package account

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// clockSlack is how far a client's clock may run ahead of ours before its "now" is the future.
const clockSlack = time.Minute

// Balance shows what is on an account, or with ?at= what was posted on it at a past time.
func (h *Handlers) Balance(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	query, err := decode.ReadQuery(c, "at")
	if err != nil {
		return err
	}
	at, err := query.Time("at")
	if err != nil {
		return err
	}
	now := h.now()
	if at == nil {
		a, err := h.accounts.Account(c.UserContext(), reader, id)
		if err != nil {
			return err
		}
		return wire.Send(c, fiber.StatusOK, balanceNow(a, now))
	}
	if at.After(now.Add(clockSlack)) {
		return errs.InField("at", "in_the_future", "The balance of a future time is not known.")
	}
	a, posted, err := h.accounts.BalanceAt(c.UserContext(), reader, id, *at)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, balanceThen(a, posted, *at))
}
