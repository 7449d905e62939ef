package webhookendpoint

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

const endpointsList = "webhook-endpoints"

// List shows the caller's endpoints, newest first.
func (h *Handlers) List(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	page, err := h.page(c, endpointsList)
	if err != nil {
		return err
	}
	found, err := h.webhooks.EndpointsOf(c.UserContext(), reader, page)
	if err != nil {
		return err
	}
	shown := Endpoints{Data: make([]Endpoint, 0, len(found))}
	if limit := page.Limit - 1; len(found) > limit {
		found = found[:limit]
		next := h.cursors.Seal(reader, endpointsList, found[limit-1].ID())
		shown.NextCursor = &next
	}
	for _, e := range found {
		shown.Data = append(shown.Data, endpointOf(e))
	}
	return wire.Send(c, fiber.StatusOK, shown)
}

// Get shows one endpoint.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	e, err := h.webhooks.Endpoint(c.UserContext(), middleware.Caller(c).UserID, id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, endpointOf(e))
}

// Deliveries shows what was sent to an endpoint and what is still to be, newest first.
func (h *Handlers) Deliveries(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	list := "webhook-deliveries:" + id.String()
	page, err := h.page(c, list)
	if err != nil {
		return err
	}
	found, err := h.webhooks.Deliveries(c.UserContext(), reader, id, page)
	if err != nil {
		return err
	}
	shown := Deliveries{Data: make([]Delivery, 0, len(found))}
	if limit := page.Limit - 1; len(found) > limit {
		found = found[:limit]
		next := h.cursors.Seal(reader, list, found[limit-1].ID)
		shown.NextCursor = &next
	}
	for _, d := range found {
		shown.Data = append(shown.Data, deliveryOf(d))
	}
	return wire.Send(c, fiber.StatusOK, shown)
}

// page is the part of a list that is asked for, with one row more: it tells whether there is a next page.
func (h *Handlers) page(c *fiber.Ctx, list string) (account.Page, error) {
	query, err := decode.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return account.Page{}, err
	}
	limit, err := query.Limit()
	if err != nil {
		return account.Page{}, err
	}
	before, err := h.cursors.Open(middleware.Caller(c).UserID, list, query["cursor"])
	return account.Page{Before: before, Limit: limit + 1}, err
}
