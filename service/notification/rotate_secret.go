package notification

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/errs"
)

// How long an endpoint's former secret goes on to sign beside the new one.
const (
	DefaultOverlap = 24 * time.Hour
	LongestOverlap = 7 * 24 * time.Hour
)

// RotateSecret is a request for a new secret.
type RotateSecret struct {
	UserID     uuid.UUID
	EndpointID uuid.UUID
	// Overlap is how long the former secrets sign too; 0 ends them at once, as after a leak.
	Overlap time.Duration
	Key     *WebhookKey // nil for none
}

// RotateSecret gives the endpoint a new secret, which is in this answer and never shown again. errs.NotFound, errs.Refused.
func (w *Webhooks) RotateSecret(ctx context.Context, r RotateSecret) (SecretOutcome, error) {
	if r.Overlap < 0 || r.Overlap > LongestOverlap {
		return SecretOutcome{}, errs.InField("overlap_seconds", "out_of_range", "The overlap is from 0 to 604800 seconds.")
	}
	e, err := w.deps.Endpoints.FindEndpoint(ctx, r.UserID, r.EndpointID)
	if err != nil {
		return SecretOutcome{}, err
	}
	now := w.deps.Clock()
	secret, sealed, err := w.drawSecret(e.ID(), now)
	if err != nil {
		return SecretOutcome{}, err
	}
	made := NewSecret{Endpoint: e, Secret: secret, OldUntil: now.Add(r.Overlap)}
	record, err := w.record(r.Key, r.UserID, sealed.ID, made, now)
	if err != nil {
		return SecretOutcome{}, err
	}
	_, before, err := w.deps.Endpoints.AddSecret(ctx, r.UserID, sealed, made.OldUntil, record)
	switch {
	case err != nil:
		return SecretOutcome{}, err
	case before != nil:
		return w.replay(ctx, r.Key, before, r.UserID, r.EndpointID)
	}
	return SecretOutcome{Made: &made, Endpoint: e}, nil
}
