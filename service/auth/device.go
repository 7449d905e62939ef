package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// deviceLifetime is how long a device token is believed. Each login gives a fresh one.
	deviceLifetime = 180 * 24 * time.Hour
	devicePrefix   = "fdt_"
	deviceBody     = 16 + 16 + 8 // user, device, time
)

// A device token says that its holder logged in as a user before. It opens nothing: a login that
// shows it is throttled apart from those of others. It is signed, so that every server knows it,
// after a restart too, and nothing is stored.

// device returns the token for the user of a device, uuid.Nil for a new one.
func (r *keyring) device(userID, device uuid.UUID, now time.Time) (string, error) {
	body := make([]byte, 0, deviceBody+sha256.Size)
	if device == uuid.Nil {
		if _, err := rand.Read(device[:]); err != nil {
			return "", fmt.Errorf("draw device: %w", err)
		}
	}
	body = append(append(body, userID[:]...), device[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(now.Unix())) //nolint:gosec // after 1970
	body = append(body, r.deviceMAC(r.signing, body)...)
	return devicePrefix + base64.RawURLEncoding.EncodeToString(body), nil
}

// knownDevice returns the device of a good token of the user, and no for every other text.
func (r *keyring) knownDevice(text string, userID uuid.UUID, now time.Time) (uuid.UUID, bool) {
	encoded, ok := strings.CutPrefix(text, devicePrefix)
	if !ok || len(encoded) > 2*(deviceBody+sha256.Size) {
		return uuid.Nil, false
	}
	token, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(token) != deviceBody+sha256.Size || !bytes.Equal(token[:16], userID[:]) {
		return uuid.Nil, false
	}
	seconds := binary.BigEndian.Uint64(token[32:])
	issued := time.Unix(int64(seconds), 0) //nolint:gosec // it was signed here
	for id := range r.secrets {
		if hmac.Equal(r.deviceMAC(id, token[:deviceBody]), token[deviceBody:]) {
			return uuid.UUID(token[16:32]), now.Sub(issued) < deviceLifetime
		}
	}
	return uuid.Nil, false
}

func (r *keyring) deviceMAC(id string, body []byte) []byte {
	mac := hmac.New(sha256.New, r.derived(id, "florin device token"))
	mac.Write(body)
	return mac.Sum(nil)
}

// derived is a key for one purpose, so that no signature of one kind passes for another.
func (r *keyring) derived(id, purpose string) []byte {
	mac := hmac.New(sha256.New, r.secrets[id])
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
