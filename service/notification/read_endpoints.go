package notification

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/notification"
)

// Endpoint returns the user's endpoint; errs.NotFound for any other.
func (w *Webhooks) Endpoint(ctx context.Context, userID, id uuid.UUID) (notification.Endpoint, error) {
	return w.deps.Endpoints.FindEndpoint(ctx, userID, id)
}

// EndpointsOf lists the user's endpoints, newest first.
func (w *Webhooks) EndpointsOf(ctx context.Context, userID uuid.UUID, page account.Page) ([]notification.Endpoint, error) {
	return w.deps.Endpoints.FindEndpoints(ctx, userID, page)
}

// Deliveries lists the deliveries of the user's endpoint with their attempts, newest first. errs.NotFound.
func (w *Webhooks) Deliveries(ctx context.Context, userID, id uuid.UUID, page account.Page) ([]notification.Delivery, error) {
	if _, err := w.deps.Endpoints.FindEndpoint(ctx, userID, id); err != nil {
		return nil, err
	}
	return w.deps.Endpoints.FindDeliveries(ctx, id, page)
}
