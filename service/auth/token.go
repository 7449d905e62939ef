package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"florin/domain/user"
)

const (
	issuer   = "florin"
	audience = "florin"
	// accessType is the claim that keeps every other signed thing from being used as an access token.
	accessType = "access"
	// AccessLifetime is how long an access token lives.
	AccessLifetime = 15 * time.Minute
	// clockSkew is how far the clocks of servers may be apart.
	clockSkew = time.Minute
	// maxTokenBytes bounds what is parsed at all; our own tokens take about 500.
	maxTokenBytes = 2048
	minSecret     = 32
)

var errBadToken = errors.New("access token is not valid")

// claims is the body of an access token. The role is not in it: it is read with the user's standing.
type claims struct {
	jwt.RegisteredClaims
	Type       string `json:"typ"`
	Generation int64  `json:"gen"`
	Session    string `json:"sid"`
}

// keyring is the secrets in force: the first signs, all verify, each under the key id derived from it.
type keyring struct {
	signing string
	secrets map[string][]byte
}

// newKeyring refuses an empty list, a secret below 32 bytes, and one that is plainly a sample.
func newKeyring(secrets []string) (*keyring, error) {
	ring := &keyring{secrets: make(map[string][]byte, len(secrets))}
	for i, secret := range secrets {
		if err := CheckSecret(secret); err != nil {
			return nil, fmt.Errorf("JWT_SECRET number %d: %w", i+1, err)
		}
		id := keyID(secret)
		if ring.signing == "" {
			ring.signing = id
		}
		ring.secrets[id] = []byte(secret)
	}
	if ring.signing == "" {
		return nil, errors.New("JWT_SECRET: at least one secret is needed")
	}
	return ring, nil
}

// CheckSecret returns why a signing secret is refused, nil when it is not. The error does not show the secret.
func CheckSecret(secret string) error {
	if len(secret) < minSecret {
		return fmt.Errorf("shorter than %d bytes", minSecret)
	}
	distinct := map[byte]struct{}{}
	for i := range len(secret) {
		distinct[secret[i]] = struct{}{}
	}
	if len(distinct) < 8 {
		return errors.New("fewer than 8 different bytes")
	}
	lower := strings.ToLower(secret)
	for _, sample := range []string{"changeme", "change-me", "change_me", "your-secret", "your_secret", "yoursecret",
		"example", "placeholder", "replace-me", "replace_me", "0123456789abcdef0123456789abcdef"} {
		if strings.Contains(lower, sample) {
			return errors.New("a sample value")
		}
	}
	return nil
}

func keyID(secret string) string {
	sum := sha256.Sum256([]byte("florin access token key\x00" + secret))
	return hex.EncodeToString(sum[:8])
}

// sign issues an access token that lives from now. It is good at once, also on a server whose clock
// is a little behind.
func (r *keyring) sign(u user.User, session uuid.UUID, now time.Time, lives time.Duration) (
	string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("draw token id: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: u.ID().String(), ID: id.String(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-clockSkew)),
			ExpiresAt: jwt.NewNumericDate(now.Add(lives)),
		},
		Type: accessType, Generation: u.Generation(), Session: session.String(),
	})
	token.Header["kid"] = r.signing
	signed, err := token.SignedString(r.secrets[r.signing])
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return signed, nil
}

// read verifies a token and returns its principal (without role) and generation. The error says why, for the log.
func (r *keyring) read(text string, now time.Time) (user.Principal, int64, error) {
	if len(text) > maxTokenBytes || strings.Count(text, ".") != 2 {
		return user.Principal{}, 0, errBadToken
	}
	var body claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }))
	if _, err := parser.ParseWithClaims(text, &body, r.key); err != nil {
		return user.Principal{}, 0, fmt.Errorf("%w: %w", errBadToken, err)
	}
	if body.Type != accessType || body.ID == "" || body.IssuedAt == nil || body.NotBefore == nil ||
		body.IssuedAt.After(now.Add(clockSkew)) ||
		body.ExpiresAt.Sub(body.IssuedAt.Time) > AccessLifetime {
		return user.Principal{}, 0, errBadToken
	}
	userID, err := uuid.Parse(body.Subject)
	if err != nil {
		return user.Principal{}, 0, errBadToken
	}
	session, err := uuid.Parse(body.Session)
	if err != nil || session.Version() != 7 {
		return user.Principal{}, 0, errBadToken
	}
	expires := body.ExpiresAt.UTC()
	if end := sessionEnd(session); end.Before(expires) {
		expires = end
	}
	if !expires.After(now) {
		return user.Principal{}, 0, errBadToken
	}
	return user.Principal{UserID: userID, SessionID: session, ExpiresAt: expires}, body.Generation, nil
}

// key finds the secret by the key id and refuses every header that could name another key.
func (r *keyring) key(token *jwt.Token) (any, error) {
	for name := range token.Header {
		if name != "alg" && name != "typ" && name != "kid" {
			return nil, fmt.Errorf("header %q is not taken", name)
		}
	}
	if token.Header["typ"] != "JWT" {
		return nil, errors.New("header typ is not JWT")
	}
	id, _ := token.Header["kid"].(string)
	secret, known := r.secrets[id]
	if !known {
		return nil, errors.New("unknown key id")
	}
	return secret, nil
}
