package webhookendpoint

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/notification"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

const endpointsList = "webhook-endpoints"

// List shows the caller's endpoints, newest first.
func (h *Handlers) List(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	query, err := decode.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	paging, err := h.cursors.Page(reader, endpointsList, query)
	if err != nil {
		return err
	}
	found, err := h.webhooks.EndpointsOf(c.UserContext(), reader, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, notification.Endpoint.ID)
	shown := Endpoints{Data: make([]Endpoint, 0, len(found)), NextCursor: next}
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
	query, err := decode.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	paging, err := h.cursors.Page(reader, "webhook-deliveries:"+id.String(), query)
	if err != nil {
		return err
	}
	found, err := h.webhooks.Deliveries(c.UserContext(), reader, id, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, func(d notification.Delivery) uuid.UUID { return d.ID })
	shown := Deliveries{Data: make([]Delivery, 0, len(found)), NextCursor: next}
	for _, d := range found {
		shown.Data = append(shown.Data, deliveryOf(d))
	}
	return wire.Send(c, fiber.StatusOK, shown)
}
