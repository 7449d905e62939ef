package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/user"
)

// SessionLifetime is how long a session lives from its login, however often it is refreshed.
const SessionLifetime = 30 * 24 * time.Hour

const refreshPrefix = "frt_"

// newSessionID returns a UUIDv7 that carries the time of the login.
func newSessionID(now time.Time) (uuid.UUID, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return uuid.Nil, fmt.Errorf("draw session id: %w", err)
	}
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(now.UnixMilli()))
	copy(id[:6], stamp[2:])
	id[6] = 0x70 | id[6]&0x0f
	return id, nil
}

// sessionStart reads the time that newSessionID put in, to the millisecond.
func sessionStart(id uuid.UUID) time.Time {
	var stamp [8]byte
	copy(stamp[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(stamp[:]))).UTC() //nolint:gosec // 48 bits
}

// sessionEnd is when the session ends whatever happens.
func sessionEnd(id uuid.UUID) time.Time { return sessionStart(id).Add(SessionLifetime) }

// newRefreshToken draws 256 random bits: the text of a session's first token, and the row that
// keeps its hash.
func newRefreshToken(now time.Time) (string, user.RefreshToken, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", user.RefreshToken{}, fmt.Errorf("draw refresh token: %w", err)
	}
	text := refreshPrefix + base64.RawURLEncoding.EncodeToString(secret)
	row, err := newRow(text, now)
	return text, row, err
}

func newRow(text string, now time.Time) (user.RefreshToken, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return user.RefreshToken{}, fmt.Errorf("draw refresh token id: %w", err)
	}
	now = now.UTC().Truncate(time.Microsecond)
	return user.RefreshToken{ID: id, Hash: hashRefresh(text),
		CreatedAt: now, ExpiresAt: now.Add(SessionLifetime)}, nil
}

// next is the text of the token that a refresh token is exchanged for. It follows from the shown
// one and a key, so that every server gives a repeat the same one although none keeps it; whoever
// has the shown one and no key learns nothing of it.
func (r *keyring) next(id, refresh string) string {
	mac := hmac.New(sha256.New, r.derived(id, "florin refresh token"))
	mac.Write([]byte(refresh))
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// hashRefresh needs no salt and no slow hash: what it hides has 256 random bits.
func hashRefresh(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
