package account

import (
	"github.com/gofiber/fiber/v2"

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
	limit, err := query.Limit()
	if err != nil {
		return err
	}
	before, err := h.cursors.Open(reader, accountsList, query["cursor"])
	if err != nil {
		return err
	}
	// One more than is shown tells whether there is a next page.
	found, err := h.accounts.Accounts(c.UserContext(), reader, account.Page{Before: before, Limit: limit + 1})
	if err != nil {
		return err
	}
	page := Accounts{Data: make([]Account, 0, limit)}
	if len(found) > limit {
		found = found[:limit]
		next := h.cursors.Seal(reader, accountsList, found[limit-1].ID)
		page.NextCursor = &next
	}
	for _, a := range found {
		page.Data = append(page.Data, AccountOf(a))
	}
	return wire.Send(c, fiber.StatusOK, page)
}
