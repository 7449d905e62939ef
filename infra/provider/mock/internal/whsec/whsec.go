// Package whsec reads the secrets that the mock bank signs its webhooks with and that its client checks.
package whsec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The sizes that Standard Webhooks gives for a symmetric secret.
const (
	minBytes = 24
	maxBytes = 64
)

const prefix = "whsec_"

// Parse reads one signer per secret of the form whsec_<base64>, in their order. It refuses an empty list and a
// secret that is empty, too short or too long: an empty key would verify whatever anybody signs with it.
// Its errors name the position of a secret, never the secret.
func Parse(secrets []string) ([]*standardwebhooks.Webhook, error) {
	if len(secrets) == 0 {
		return nil, errors.New("webhook secrets: none given")
	}
	signers := make([]*standardwebhooks.Webhook, 0, len(secrets))
	for i, secret := range secrets {
		encoded, found := strings.CutPrefix(secret, prefix)
		if !found {
			return nil, fmt.Errorf("webhook secrets: number %d does not begin with %s", i+1, prefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("webhook secrets: number %d is not base64", i+1)
		}
		if len(key) < minBytes || len(key) > maxBytes {
			return nil, fmt.Errorf("webhook secrets: number %d has %d bytes, want %d to %d", i+1, len(key), minBytes, maxBytes)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("webhook secrets: number %d: %w", i+1, err)
		}
		signers = append(signers, signer)
	}
	return signers, nil
}
