package notification

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/notification"
)

// UpdateEndpoint is how an endpoint is to be. What is nil stays as it is.
type UpdateEndpoint struct {
	URL         *string
	Events      *[]string
	Description *string
	Enabled     *bool
}

// UpdateEndpoint changes the user's endpoint. While it is disabled nothing new is recorded for it; what is pending is held, and
// goes on when it is enabled again. errs.NotFound, errs.Refused.
func (w *Webhooks) UpdateEndpoint(ctx context.Context, userID, id uuid.UUID, up UpdateEndpoint) (notification.Endpoint, error) {
	var url *notification.URL
	if up.URL != nil {
		parsed, err := notification.ParseURL(*up.URL, w.deps.AllowPrivate)
		if err != nil {
			return notification.Endpoint{}, err
		}
		url = &parsed
	}
	now := w.deps.Clock()
	e, err := w.deps.Endpoints.ChangeEndpoint(ctx, userID, id, func(e *notification.Endpoint) error {
		events, description := e.Events(), e.Description()
		if up.Events != nil {
			events = *up.Events
		}
		if up.Description != nil {
			description = *up.Description
		}
		if err := e.Describe(events, description, now); err != nil {
			return err
		}
		if url != nil {
			e.Move(*url, now)
		}
		switch {
		case up.Enabled != nil && *up.Enabled:
			e.Enable(now)
		case up.Enabled != nil:
			e.Disable(notification.DisabledByOwner, now)
		}
		return nil
	})
	if err == nil {
		w.deps.Woken()
	}
	return e, err
}

// DeleteEndpoint ends the user's endpoint: its secrets are forgotten, and what is pending is not sent. errs.NotFound.
func (w *Webhooks) DeleteEndpoint(ctx context.Context, userID, id uuid.UUID) error {
	return w.deps.Endpoints.DeleteEndpoint(ctx, userID, id, w.deps.Clock())
}
