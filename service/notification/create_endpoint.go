package notification

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/notification"
)

// CreateEndpoint is a request for an endpoint.
type CreateEndpoint struct {
	UserID      uuid.UUID
	URL         string
	Events      []string // none for all
	Description string
	Key         *WebhookKey // nil for none
}

// CreateEndpoint makes an endpoint with a signing secret, which is in this answer and never shown again. errs.Refused where
// the URL, the events or the description are not allowed, or the user has too many endpoints.
func (w *Webhooks) CreateEndpoint(ctx context.Context, r CreateEndpoint) (SecretOutcome, error) {
	url, err := notification.ParseURL(r.URL, w.deps.AllowPrivate)
	if err != nil {
		return SecretOutcome{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return SecretOutcome{}, err
	}
	now := w.deps.Clock()
	e, err := notification.NewEndpoint(id, r.UserID, url, r.Events, r.Description, now)
	if err != nil {
		return SecretOutcome{}, err
	}
	secret, sealed, err := w.drawSecret(id, now)
	if err != nil {
		return SecretOutcome{}, err
	}
	made := NewSecret{Endpoint: e, Secret: secret}
	record, err := w.record(r.Key, r.UserID, id, made, now)
	if err != nil {
		return SecretOutcome{}, err
	}
	before, err := w.deps.Endpoints.CreateEndpoint(ctx, e, sealed, record)
	switch {
	case err != nil:
		return SecretOutcome{}, err
	case before != nil:
		return w.replay(ctx, r.Key, before, r.UserID, before.ResourceID)
	}
	return SecretOutcome{Made: &made, Endpoint: e}, nil
}
