package webhookendpoint

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/domain/notification"
	notificationsvc "florin/service/notification"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// UpdateRequest says how an endpoint is to be. What is left out stays as it is.
type UpdateRequest struct {
	URL         *string   `json:"url,omitempty" maxLength:"2048" example:"https://example.com/webhooks"`
	Events      *[]string `json:"events,omitempty" maxItems:"64" description:"An empty list asks for everything."`
	Description *string   `json:"description,omitempty" maxLength:"200"`
	Status      *string   `json:"status,omitempty" enum:"enabled,disabled" description:"While it is disabled nothing new is recorded, and what is pending is held."`
}

// ResendRequest is an empty object; the body may be missing altogether.
type ResendRequest struct{}

// Update changes an endpoint.
func (h *Handlers) Update(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var body UpdateRequest
	if err := decode.Body(c, &body); err != nil {
		return err
	}
	up := notificationsvc.UpdateEndpoint{URL: body.URL, Events: body.Events, Description: body.Description}
	if up.Enabled, err = enabled(body.Status); err != nil {
		return err
	}
	e, err := h.webhooks.UpdateEndpoint(c.UserContext(), middleware.Caller(c).UserID, id, up)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, endpointOf(e))
}

// enabled reads a status that an owner may set; nil where none is given.
func enabled(status *string) (*bool, error) {
	if status == nil {
		return nil, nil
	}
	switch notification.EndpointStatus(*status) {
	case notification.EndpointEnabled:
		return new(true), nil
	case notification.EndpointDisabled:
		return new(false), nil
	default:
		return nil, errs.InField("status", "invalid_status", "The status is enabled or disabled.")
	}
}

// Delete ends an endpoint.
func (h *Handlers) Delete(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	if err := h.webhooks.DeleteEndpoint(c.UserContext(), middleware.Caller(c).UserID, id); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// Resend makes a delivery due again, at once.
func (h *Handlers) Resend(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	deliveryID, err := decode.ID(c, "delivery_id")
	if err != nil {
		return err
	}
	if err := decode.OptionalBody(c, &ResendRequest{}); err != nil {
		return err
	}
	d, err := h.webhooks.Resend(c.UserContext(), middleware.Caller(c).UserID, id, deliveryID)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusAccepted, deliveryOf(d))
}
