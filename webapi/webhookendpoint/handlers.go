// Package webhookendpoint is the web API of the endpoints that users take webhooks at. A use case is a file.
package webhookendpoint

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/notification"
	notificationsvc "florin/service/notification"
	"florin/webapi/decode"
)

// Service is what these handlers use of the service.
type Service interface {
	CreateEndpoint(ctx context.Context, r notificationsvc.CreateEndpoint) (notificationsvc.SecretOutcome, error)
	EndpointsOf(ctx context.Context, userID uuid.UUID, page account.Page) ([]notification.Endpoint, error)
	Endpoint(ctx context.Context, userID, id uuid.UUID) (notification.Endpoint, error)
	UpdateEndpoint(ctx context.Context, userID, id uuid.UUID, up notificationsvc.UpdateEndpoint) (notification.Endpoint, error)
	DeleteEndpoint(ctx context.Context, userID, id uuid.UUID) error
	RotateSecret(ctx context.Context, r notificationsvc.RotateSecret) (notificationsvc.SecretOutcome, error)
	Deliveries(ctx context.Context, userID, id uuid.UUID, page account.Page) ([]notification.Delivery, error)
	Resend(ctx context.Context, userID, endpointID, deliveryID uuid.UUID) (notification.Delivery, error)
}

// Handlers answers the routes below /webhook-endpoints. Its methods are safe for concurrent use.
type Handlers struct {
	webhooks Service
	cursors  decode.Cursors
}

// New returns the handlers.
func New(webhooks Service, cursors decode.Cursors) *Handlers { return &Handlers{webhooks, cursors} }
