package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"florin/domain/user"
)

const (
	lanes       = 1
	saltBytes   = 16
	digestBytes = 32
)

// Cost is what one hash costs.
type Cost struct {
	MemoryKiB, Passes uint32
}

// StandardCost is OWASP's minimum for argon2id with one lane. Tests alone may do with less.
var StandardCost = Cost{MemoryKiB: 19 * 1024, Passes: 2}

// Passwords hashes and verifies passwords with argon2id. As each hash takes 19 MiB, few run
// together; the others wait up to the bound and are then refused. Logins have places of their own,
// and at each gate the networks take turns.
type Passwords struct {
	cost   Cost
	prefix string // of the PHC strings at this cost
	logins *gate
	others *gate
	wait   time.Duration
	dummy  string
}

// NewPasswords returns a hasher at the cost for so many concurrent hashes of logins (2 when below
// 1), half as many of everything else, and a wait (8 s when 0).
func NewPasswords(cost Cost, loginsAtOnce int, wait time.Duration) *Passwords {
	if loginsAtOnce < 1 {
		loginsAtOnce = 2
	}
	if wait == 0 {
		wait = 8 * time.Second
	}
	p := &Passwords{cost: cost, wait: wait,
		logins: newGate(loginsAtOnce), others: newGate((loginsAtOnce + 1) / 2),
		prefix: fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$",
			argon2.Version, cost.MemoryKiB, cost.Passes, lanes)}
	p.dummy = p.encode(make([]byte, saltBytes), make([]byte, digestBytes))
	return p
}

// Normal is the form in which a password is hashed: NFKC, in which it is the same however a
// keyboard composes it.
func Normal(password string) string { return norm.NFKC.String(password) }

// Hash returns the PHC string of a password for whoever asks from the network. errs.Unavailable
// when too many hashes wait already.
func (p *Passwords) Hash(ctx context.Context, password, network string) (string, error) {
	leave, err := p.enter(ctx, p.others, network)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("draw salt: %w", err)
	}
	return p.encode(salt, p.derive(Normal(password), salt)), nil
}

// verify says whether the password belongs to the hash. With an empty or unusable hash it takes as
// long and says no, so that an unknown user cannot be told from a wrong password. Hashes from
// before passwords were normalised are of what was typed, which is tried second. errs.Unavailable
// as Hash.
func (p *Passwords) verify(ctx context.Context, g guess, hash, password string) (bool, error) {
	at := p.logins
	if g.confirms {
		at = p.others
	}
	leave, err := p.enter(ctx, at, g.network)
	if err != nil {
		return false, err
	}
	defer leave()
	salt, digest, ok := p.decode(hash)
	if !ok {
		salt, digest, _ = p.decode(p.dummy)
	}
	normal := Normal(password)
	if utf8.RuneCountInString(normal) > user.MaxPassword {
		password, normal, ok = "", "", false
	}
	same := subtle.ConstantTimeCompare(p.derive(normal, salt), digest) == 1
	if !same && normal != password && utf8.RuneCountInString(password) <= user.MaxPassword {
		same = subtle.ConstantTimeCompare(p.derive(password, salt), digest) == 1
	}
	return same && ok, nil
}

func (p *Passwords) enter(ctx context.Context, at *gate, network string) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	return at.enter(ctx, network)
}

func (p *Passwords) derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, p.cost.Passes, p.cost.MemoryKiB, lanes, digestBytes)
}

func (p *Passwords) encode(salt, digest []byte) string {
	return p.prefix + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(digest)
}

// decode takes our own parameters alone: a hash made with others would need its own bounds on memory and time.
func (p *Passwords) decode(hash string) (salt, digest []byte, ok bool) {
	rest, ok := strings.CutPrefix(hash, p.prefix)
	if !ok {
		return nil, nil, false
	}
	saltText, digestText, ok := strings.Cut(rest, "$")
	if !ok {
		return nil, nil, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(saltText)
	if err != nil || len(salt) != saltBytes {
		return nil, nil, false
	}
	digest, err = base64.RawStdEncoding.DecodeString(digestText)
	return salt, digest, err == nil && len(digest) == digestBytes
}
