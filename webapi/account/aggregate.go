package account

import (
	"github.com/gofiber/fiber/v2"

	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Aggregate shows what the caller has in each currency.
func (h *Handlers) Aggregate(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	totals, err := h.accounts.Totals(c.UserContext(), middleware.Caller(c).UserID)
	if err != nil {
		return err
	}
	shown := Totals{Totals: make([]Total, 0, len(totals))}
	for _, t := range totals {
		total, err := totalOf(t)
		if err != nil {
			return err
		}
		shown.Totals = append(shown.Totals, total)
	}
	return wire.Send(c, fiber.StatusOK, shown)
}
