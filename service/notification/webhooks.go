// Package notification tells users what happens to their money, outside of the requests that made it happen. A use case is a
// file.
package notification

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/notification"
)

// WebhookDeps is what Webhooks is built from. All fields are required but Woken.
type WebhookDeps struct {
	Endpoints notification.Endpoints
	Vault     notification.Vault
	Clock     account.Clock
	// KeyHash stands for a user's Idempotency-Key in the store; keys are the same for all that a user may do.
	KeyHash func(userID uuid.UUID, key string) uuid.UUID
	// AllowPrivate is as in notification.ParseURL.
	AllowPrivate bool
	// Woken is called when something is due at once; it must not block.
	Woken func()
}

// Webhooks is what users do with their endpoints. It is safe for concurrent use.
type Webhooks struct{ deps WebhookDeps }

// NewWebhooks returns the use cases.
func NewWebhooks(deps WebhookDeps) *Webhooks {
	if deps.Woken == nil {
		deps.Woken = func() {}
	}
	return &Webhooks{deps}
}

// WebhookKey is the Idempotency-Key of a request, with the answer that is kept for its repeats.
type WebhookKey struct {
	Value       string
	Fingerprint string
	Render      func(NewSecret) account.Answer
}

// NewSecret is an endpoint with the secret that it got just now.
type NewSecret struct {
	Endpoint notification.Endpoint
	Secret   notification.Secret
	// OldUntil is when its former secrets stop to sign; zero where it had none.
	OldUntil time.Time
}

// SecretOutcome is what a request that makes a secret gives. Answer is set for a repeat whose first answer is kept. A repeat
// whose first answer is not kept any more has the endpoint as it is now, and no secret: it is shown once.
type SecretOutcome struct {
	Made     *NewSecret
	Endpoint notification.Endpoint
	Answer   *account.Answer
	Replayed bool
}

// drawSecret makes a secret of 32 random bytes, and its sealed form for the store.
func (w *Webhooks) drawSecret(endpointID uuid.UUID, at time.Time) (notification.Secret, notification.SealedSecret, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return notification.Secret{}, notification.SealedSecret{}, fmt.Errorf("draw secret: %w", err)
	}
	secret, err := notification.NewSecret(random)
	if err != nil {
		return notification.Secret{}, notification.SealedSecret{}, err
	}
	sealed, err := w.deps.Vault.Seal(random, aboutSecret(endpointID))
	if err != nil {
		return notification.Secret{}, notification.SealedSecret{}, err
	}
	id, err := uuid.NewV7()
	return secret, notification.SealedSecret{ID: id, EndpointID: endpointID, Sealed: sealed, CreatedAt: at}, err
}

// aboutSecret binds a sealed secret to its endpoint: in the row of another one it does not open.
func aboutSecret(endpointID uuid.UUID) string { return "secret of endpoint " + endpointID.String() }

// record is what is kept for repeats of the request. The answer shows a secret, so it is kept sealed.
func (w *Webhooks) record(key *WebhookKey, userID, resource uuid.UUID, made NewSecret, at time.Time) (*account.IdempotencyRecord, error) {
	if key == nil {
		return nil, nil
	}
	hash := w.deps.KeyHash(userID, key.Value)
	answer := key.Render(made)
	sealed, err := w.deps.Vault.Seal(answer.Body, aboutAnswer(hash))
	if err != nil {
		return nil, err
	}
	return &account.IdempotencyRecord{Hash: hash, UserID: userID, Fingerprint: key.Fingerprint, ResourceID: resource, Fence: 1,
		Answer: &account.Answer{Status: answer.Status, Body: []byte(sealed)}, CreatedAt: at, FinishedAt: at}, nil
}

func aboutAnswer(hash uuid.UUID) string { return "answer to key " + hash.String() }

// replay answers a repeat: with the first answer where that is kept and can be opened.
func (w *Webhooks) replay(ctx context.Context, key *WebhookKey, r *account.IdempotencyRecord, userID uuid.UUID, endpointID uuid.UUID) (SecretOutcome, error) {
	if r.Fingerprint != key.Fingerprint || r.UserID != userID {
		return SecretOutcome{}, errs.New(errs.Refused, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
	}
	if r.Answer != nil {
		if body, _, err := w.deps.Vault.Open(string(r.Answer.Body), aboutAnswer(r.Hash)); err == nil {
			return SecretOutcome{Answer: &account.Answer{Status: r.Answer.Status, Body: body}, Replayed: true}, nil
		}
	}
	e, err := w.deps.Endpoints.FindEndpoint(ctx, userID, endpointID)
	return SecretOutcome{Endpoint: e, Replayed: true}, err
}
