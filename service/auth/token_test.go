package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

// forge makes a token of the claims of a good one, changed, under any header and key.
func (b *bench) forge(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims map[string]any) string {
	t.Helper()
	good := b.login(t)
	parsed, _, err := jwt.NewParser().ParseUnverified(good.Access, jwt.MapClaims{})
	require.NoError(t, err)
	body := parsed.Claims.(jwt.MapClaims)
	for name, value := range claims {
		if value == nil {
			delete(body, name)
		} else {
			body[name] = value
		}
	}
	token := jwt.NewWithClaims(method, body)
	token.Header["kid"] = keyID(secretA)
	maps.Copy(token.Header, header)
	for name, value := range token.Header {
		if value == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

func (b *bench) requireRefused(t *testing.T, token, why string) {
	t.Helper()
	_, err := b.Verify(context.Background(), token)
	require.Error(t, err, why)
	require.Equal(t, errs.Unauthenticated, errs.KindOf(err), why)
}

func TestForgeMakesGoodTokens(t *testing.T) {
	b := newBench(t)
	principal, err := b.Verify(context.Background(), b.forge(t, jwt.SigningMethodHS256, []byte(secretA), nil, nil))
	require.NoError(t, err, "or the refusals below prove nothing")
	require.Equal(t, b.ada.ID(), principal.UserID)
	require.Equal(t, b.clock.now().Add(AccessLifetime), principal.ExpiresAt)
}

func TestS6_UnsignedTokens(t *testing.T) {
	b := newBench(t)
	unsigned := b.forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil)
	b.requireRefused(t, unsigned, "alg none")
	for _, alg := range []any{"None", "nOnE", "NONE", "", nil, "HS512"} {
		b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretA), map[string]any{"alg": alg}, nil), "alg")
	}
	good := b.login(t).Access
	b.requireRefused(t, good[:strings.LastIndex(good, ".")+1], "signature cut off")
	b.requireRefused(t, good[:strings.LastIndex(good, ".")], "no signature")
	b.requireRefused(t, "", "empty")
}

func TestS7_KeyConfusion(t *testing.T) {
	b := newBench(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	b.requireRefused(t, b.forge(t, jwt.SigningMethodRS256, rsaKey, nil, nil), "RS256")
	b.requireRefused(t, b.forge(t, jwt.SigningMethodES256, ecKey, nil, nil), "ES256")
	b.requireRefused(t, b.forge(t, jwt.SigningMethodHS512, []byte(secretA), nil, nil), "another HMAC")
	b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretB), nil, nil), "another secret")
	for _, kid := range []any{nil, "", keyID(secretB), "../../dev/null", "' OR 1=1 --", 7} {
		b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretA), map[string]any{"kid": kid}, nil), "kid")
	}
	for _, name := range []string{"jku", "x5u", "jwk", "x5c", "crit", "cty"} {
		b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretA), map[string]any{name: "https://evil.example"}, nil), name)
	}
}

func TestS8_WeakSecretsAreRefused(t *testing.T) {
	for _, secret := range []string{"", "short", strings.Repeat("a", 64), "changeme-changeme-changeme-changeme", "0123456789abcdef0123456789abcdef"} {
		_, err := newKeyring([]string{secretA, secret})
		require.Error(t, err, secret)
		if len(secret) > 8 {
			require.NotContains(t, err.Error(), secret)
		}
	}
	_, err := newKeyring(nil)
	require.Error(t, err)
	require.NoError(t, CheckSecret(secretA))
}

func TestS9_ClaimsAreEnforced(t *testing.T) {
	b := newBench(t)
	now := b.clock.now().Unix()
	for name, claims := range map[string]map[string]any{
		"expired":          {"exp": now - 1},
		"expires now":      {"exp": now},
		"no exp":           {"exp": nil},
		"lives too long":   {"exp": now + 901},
		"not before":       {"nbf": now + 120},
		"no nbf":           {"nbf": nil},
		"no iat":           {"iat": nil},
		"issued later":     {"iat": now + 120, "exp": now + 130},
		"other issuer":     {"iss": "someone"},
		"no issuer":        {"iss": nil},
		"other audience":   {"aud": "someone"},
		"no audience":      {"aud": nil},
		"refresh type":     {"typ": "refresh"},
		"no type":          {"typ": nil},
		"no jti":           {"jti": nil},
		"subject no id":    {"sub": "admin"},
		"another user":     {"sub": uuid.NewString()},
		"session no id":    {"sid": "x"},
		"unknown session":  {"sid": uuid.Must(uuid.NewV7()).String()},
		"old generation":   {"gen": 0},
		"later generation": {"gen": 2},
	} {
		b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretA), nil, claims), name)
	}
	b.requireRefused(t, b.forge(t, jwt.SigningMethodHS256, []byte(secretA), map[string]any{"typ": "refresh+jwt"}, nil), "header typ")
	tokens := b.login(t)
	b.requireRefused(t, tokens.Refresh, "a refresh token is no access token")
	_, err := b.Verify(context.Background(), tokens.Access)
	require.NoError(t, err)
	b.clock.pass(AccessLifetime)
	b.requireRefused(t, tokens.Access, "15 minutes old")
}

func TestS10_HugeTokens(t *testing.T) {
	b := newBench(t)
	huge := strings.Repeat(".", 1<<20)
	allocated := testing.AllocsPerRun(10, func() { _, _ = b.Verify(context.Background(), huge) })
	require.Less(t, allocated, 20.0)
	b.requireRefused(t, huge, "dots")
	b.requireRefused(t, strings.Repeat("a.", 500), "many parts")
	b.requireRefused(t, strings.Repeat("A", 1<<20)+".a.b", "long header")
}

func TestS13_SecretsRotateWithoutARestart(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	old := b.login(t).Access
	require.NoError(t, b.SetSecrets([]string{secretB, secretA}))
	fresh := b.login(t).Access
	for _, token := range []string{old, fresh} {
		_, err := b.Verify(ctx, token)
		require.NoError(t, err)
	}
	require.NoError(t, b.SetSecrets([]string{secretB}))
	b.requireRefused(t, old, "its secret is gone")
	_, err := b.Verify(ctx, fresh)
	require.NoError(t, err)
	require.Error(t, b.SetSecrets([]string{"short"}))
	_, err = b.Verify(ctx, fresh)
	require.NoError(t, err, "a refused rotation changes nothing")
}

func FuzzVerify(f *testing.F) {
	ring, err := newKeyring([]string{secretA})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := ring.read(text, now); err == nil {
			t.Fatalf("accepted a token that nobody signed: %q", text)
		}
	})
}
