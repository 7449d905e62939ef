package notification

import (
	"context"
	"log/slog"
	"time"

	"florin/domain/notification"
)

// SecretStore is where the secrets lie that are to be sealed anew.
type SecretStore interface {
	// ResealSecrets gives each secret to reseal and stores what it returns; "" leaves it as it is.
	ResealSecrets(ctx context.Context, reseal func(notification.SealedSecret) (string, error)) (int, error)
}

// Resealer seals the endpoints' secrets under the newest of the server's own, so that an older one can be taken away after a
// while. Any number of servers may run one.
type Resealer struct {
	Store SecretStore
	Vault notification.Vault
	Log   *slog.Logger
	// Every is how often it looks.
	Every time.Duration
	// Alert is told of secrets that no known key opens.
	Alert func(kind string)
}

// Run looks at once and then every so often, until ctx ends.
func (r Resealer) Run(ctx context.Context) error {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		if _, err := r.RunOnce(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "signing secrets not resealed, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce looks at every secret and returns how many it has sealed anew. One that cannot be opened is left alone: the key may
// come back.
func (r Resealer) RunOnce(ctx context.Context) (int, error) {
	lost := 0
	resealed, err := r.Store.ResealSecrets(ctx, func(s notification.SealedSecret) (string, error) {
		about := aboutSecret(s.EndpointID)
		plain, current, err := r.Vault.Open(s.Sealed, about)
		if err != nil {
			lost++
			return "", nil
		}
		if current {
			return "", nil
		}
		return r.Vault.Seal(plain, about)
	})
	if lost > 0 {
		r.Alert("webhook_secret")
		r.Log.ErrorContext(ctx, "signing secrets of webhook endpoints cannot be opened: is a DATA_KEY missing?", "count", lost)
	}
	if resealed > 0 {
		r.Log.InfoContext(ctx, "signing secrets sealed under the newest secret", "count", resealed)
	}
	return resealed, err
}
