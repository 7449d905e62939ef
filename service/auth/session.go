package auth

import (
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

// RefreshLifetime is how long an unused refresh token lives.
const RefreshLifetime = 30 * 24 * time.Hour

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

// newRefreshToken draws 256 random bits: the text for the client and the row that keeps its hash.
func newRefreshToken(now time.Time) (string, user.RefreshToken, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", user.RefreshToken{}, fmt.Errorf("draw refresh token id: %w", err)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", user.RefreshToken{}, fmt.Errorf("draw refresh token: %w", err)
	}
	text := refreshPrefix + base64.RawURLEncoding.EncodeToString(secret)
	now = now.UTC().Truncate(time.Microsecond)
	return text, user.RefreshToken{ID: id, Hash: hashRefresh(text), CreatedAt: now, ExpiresAt: now.Add(RefreshLifetime)}, nil
}

// hashRefresh needs no salt and no slow hash: what it hides has 256 random bits.
func hashRefresh(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
