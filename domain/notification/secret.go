package notification

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The sizes that Standard Webhooks gives for a symmetric secret, in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// Secret is what an endpoint's webhooks are signed with. Every way to format it gives the same few letters; Text is what the
// owner is shown, once.
type Secret struct{ key []byte }

// NewSecret takes 24 to 64 random bytes.
func NewSecret(key []byte) (Secret, error) {
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, errors.New("a signing secret has 24 to 64 bytes")
	}
	return Secret{slices.Clone(key)}, nil
}

// Key is the bytes to sign with.
func (s Secret) Key() []byte { return slices.Clone(s.key) }

// Text is the form that receivers configure: whsec_ and base64.
func (s Secret) Text() string { return "whsec_" + base64.StdEncoding.EncodeToString(s.key) }

const hidden = "[secret]"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// SealedSecret is a secret as the store keeps it: encrypted.
type SealedSecret struct {
	ID         uuid.UUID
	EndpointID uuid.UUID
	Sealed     string
	CreatedAt  time.Time
	// ExpiresAt is when it stops to sign; zero for the newest one.
	ExpiresAt time.Time
}

// Vault encrypts what must be used later but not be readable in the store. About binds a text to what it belongs to: it opens
// with the same about only.
type Vault interface {
	Seal(plain []byte, about string) (string, error)
	// Open returns what was sealed, and whether that was under the key that Seal uses now. An error says that it was sealed
	// under a key that is not known any more, or was changed.
	Open(sealed, about string) (plain []byte, current bool, err error)
}
