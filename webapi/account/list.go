package account

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

const accountsList = "accounts"

// List shows the caller's accounts, newest first.
func (h *Handlers) List(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	query, err := decode.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	paging, err := h.cursors.Page(reader, accountsList, query)
	if err != nil {
		return err
	}
	found, err := h.accounts.Accounts(c.UserContext(), reader, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, func(a *account.Account) uuid.UUID { return a.ID })
	page := Accounts{Data: make([]Account, 0, len(found)), NextCursor: next}
	for _, a := range found {
		page.Data = append(page.Data, AccountOf(a))
	}
	return wire.Send(c, fiber.StatusOK, page)
}
