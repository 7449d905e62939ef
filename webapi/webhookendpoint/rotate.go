package webhookendpoint

import (
	"time"

	"github.com/gofiber/fiber/v2"

	notificationsvc "florin/service/notification"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// RotateRequest says how long the former secrets sign beside the new one.
type RotateRequest struct {
	OverlapSeconds *int64 `json:"overlap_seconds,omitempty" minimum:"0" maximum:"604800" default:"86400" description:"0 ends the former secrets at once, as after a leak."`
}

// Rotate gives an endpoint a new secret, which is in this answer and never shown again.
func (h *Handlers) Rotate(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	keyText, err := decode.IdempotencyKey(c)
	if err != nil {
		return err
	}
	var body RotateRequest
	if err := decode.OptionalBody(c, &body); err != nil {
		return err
	}
	request := notificationsvc.RotateSecret{UserID: middleware.Caller(c).UserID, EndpointID: id, Overlap: notificationsvc.DefaultOverlap}
	if body.OverlapSeconds != nil {
		// What is beyond the longest overlap is refused; a bound here keeps the product in its type.
		seconds := min(max(*body.OverlapSeconds, -1), int64(notificationsvc.LongestOverlap/time.Second)+1)
		request.Overlap = time.Duration(seconds) * time.Second
	}
	if request.Key, err = keyOf(c, keyText, body, fiber.StatusOK); err != nil {
		return err
	}
	outcome, err := h.webhooks.RotateSecret(c.UserContext(), request)
	if err != nil {
		return err
	}
	if outcome.Replayed {
		c.Set(decode.HeaderIdempotencyReplay, "true")
	}
	return wire.SendAnswer(c, answerOf(outcome, fiber.StatusOK))
}
