package webhook

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

// Vault implements notification.Vault with AES-256-GCM under keys that are derived from the server's secrets. It is safe for
// concurrent use.
type Vault struct{ keys atomic.Pointer[[]vaultKey] }

type vaultKey struct {
	id   string
	aead cipher.AEAD
}

// NewVault returns a vault under the secrets: the first seals, all open. Servers that share a database share them.
func NewVault(secrets []string) (*Vault, error) {
	v := &Vault{}
	return v, v.SetSecrets(secrets)
}

// SetSecrets replaces the secrets, as when they are rotated.
func (v *Vault) SetSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return errors.New("webhook vault: no secret")
	}
	keys := make([]vaultKey, len(secrets))
	for i, secret := range secrets {
		derived, err := hkdf.Key(sha256.New, []byte(secret), nil, "florin webhook secrets", 32)
		if err != nil {
			return fmt.Errorf("webhook vault: derive key: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return fmt.Errorf("webhook vault: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return fmt.Errorf("webhook vault: %w", err)
		}
		// The id only tells keys apart; it says nothing of the key.
		name := sha256.Sum256(append([]byte("id of "), derived...))
		keys[i] = vaultKey{hex.EncodeToString(name[:6]), aead}
	}
	v.keys.Store(&keys)
	return nil
}

// Seal implements notification.Vault.
func (v *Vault) Seal(plain []byte, about string) (string, error) {
	key := (*v.keys.Load())[0]
	sealed := key.aead.Seal(nil, nil, plain, []byte(about))
	return sealFormat + "." + key.id + "." + base64.RawStdEncoding.EncodeToString(sealed), nil
}

// Open implements notification.Vault.
func (v *Vault) Open(sealed, about string) (plain []byte, current bool, err error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != sealFormat {
		return nil, false, errors.New("webhook vault: not a sealed text")
	}
	content, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, false, errors.New("webhook vault: not a sealed text")
	}
	for i, key := range *v.keys.Load() {
		if key.id != parts[1] {
			continue
		}
		plain, err := key.aead.Open(nil, nil, content, []byte(about))
		if err != nil {
			return nil, false, errors.New("webhook vault: the sealed text was changed")
		}
		return plain, i == 0, nil
	}
	return nil, false, errors.New("webhook vault: sealed under a secret that is not configured any more")
}
