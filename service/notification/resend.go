package notification

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/notification"
)

// Resend sends a delivery of the user's endpoint again, whatever became of it before: at once, and with the whole schedule
// if it fails. It has the same webhook id, so a receiver that has it already knows it. errs.NotFound; errs.Conflict
// "endpoint_disabled".
func (w *Webhooks) Resend(ctx context.Context, userID, endpointID, deliveryID uuid.UUID) (notification.Delivery, error) {
	if _, err := w.deps.Endpoints.FindEndpoint(ctx, userID, endpointID); err != nil {
		return notification.Delivery{}, err
	}
	d, err := w.deps.Endpoints.Resend(ctx, endpointID, deliveryID, w.deps.Clock())
	if err == nil {
		w.deps.Woken()
	}
	return d, err
}
