// Package vault seals what must not lie in clear in the store.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// sealFormat is the first part of all that is sealed, so that another form can be told from it.
const sealFormat = "s1"

// What secrets are used for. A key is derived for each purpose.
const (
	// Data is what DATA_KEY seals.
	Data = "florin data"
	// Webhooks is what JWT_SECRET sealed before there was a DATA_KEY.
	Webhooks = "florin webhook secrets"
)

// Vault seals texts with AES-256-GCM under keys that are derived from the server's secrets. Whoever
// reads the store, or a copy of it, learns nothing of what is sealed. It is safe for concurrent
// use.
type Vault struct{ keys atomic.Pointer[[]vaultKey] }

type vaultKey struct {
	id   string
	aead cipher.AEAD
}

// Key is a secret and what it is used for.
type Key struct{ Secret, Purpose string }

// Keys are secrets for one purpose.
func Keys(purpose string, secrets []string) []Key {
	keys := make([]Key, len(secrets))
	for i, secret := range secrets {
		keys[i] = Key{secret, purpose}
	}
	return keys
}

// New returns a vault under the keys: the first seals, all open. Servers that share a database
// share them.
func New(keys []Key) (*Vault, error) {
	v := &Vault{}
	return v, v.SetKeys(keys)
}

// SetKeys replaces the keys, as when secrets are rotated.
func (v *Vault) SetKeys(secrets []Key) error {
	if len(secrets) == 0 {
		return errors.New("vault: no secret")
	}
	keys := make([]vaultKey, len(secrets))
	for i, secret := range secrets {
		derived, err := hkdf.Key(sha256.New, []byte(secret.Secret), nil, secret.Purpose, 32)
		if err != nil {
			return fmt.Errorf("vault: derive key: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return fmt.Errorf("vault: %w", err)
		}
		// The id only tells keys apart; it says nothing of the key.
		name := sha256.Sum256(append([]byte("id of "), derived...))
		keys[i] = vaultKey{hex.EncodeToString(name[:6]), aead}
	}
	v.keys.Store(&keys)
	return nil
}

// Current names the key that seals: what is sealed under it begins with this.
func (v *Vault) Current() string { return sealFormat + "." + (*v.keys.Load())[0].id + "." }

// Seal seals the text. What it is about must be said again to open it, so that it opens in no other
// row.
func (v *Vault) Seal(plain []byte, about string) (string, error) {
	key := (*v.keys.Load())[0]
	sealed := key.aead.Seal(nil, nil, plain, []byte(about))
	return sealFormat + "." + key.id + "." + base64.RawStdEncoding.EncodeToString(sealed), nil
}

// Open opens what was sealed about this. Current says that it is under the key that seals now.
func (v *Vault) Open(sealed, about string) (plain []byte, current bool, err error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != sealFormat {
		return nil, false, errors.New("vault: not a sealed text")
	}
	content, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, false, errors.New("vault: not a sealed text")
	}
	for i, key := range *v.keys.Load() {
		if key.id != parts[1] {
			continue
		}
		plain, err := key.aead.Open(nil, nil, content, []byte(about))
		if err != nil {
			return nil, false, errors.New("vault: the sealed text was changed")
		}
		return plain, i == 0, nil
	}
	return nil, false, errors.New("vault: sealed under a secret that is not configured any more")
}
