// Package auth proves who sends a request: passwords, access tokens and sessions.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"florin/domain/errs"
	"florin/domain/user"
)

// Users is what auth needs of the user store.
type Users interface {
	// UserByIdentity finds a living user by username or email, letter case aside. errs.NotFound.
	UserByIdentity(ctx context.Context, identity string) (user.User, error)
}

// ServiceDeps is what the service is built from; all but Passwords is required.
type ServiceDeps struct {
	Users    Users
	Sessions user.SessionStore
	// Passwords hashes; at StandardCost, two at a time, when nil.
	Passwords *Passwords
	// Secrets sign access tokens: the first signs, all verify.
	Secrets []string
	Now     func() time.Time
}

// Service logs people in and verifies what they send afterwards. It is safe for concurrent use.
type Service struct {
	users     Users
	sessions  user.SessionStore
	passwords *Passwords
	keys      atomic.Pointer[keyring]
	verified  *cache
	guesses   *throttle
	now       func() time.Time
}

// Tokens is what a login or a refresh gives to the client.
type Tokens struct {
	Access    string
	Refresh   string
	ExpiresIn time.Duration
	// Device is for the next login of the same user; a refresh gives none.
	Device string
}

// NewService refuses secrets that are missing, short or samples.
func NewService(deps ServiceDeps) (*Service, error) {
	if deps.Users == nil || deps.Sessions == nil || deps.Now == nil {
		return nil, errors.New("auth needs users, sessions and a clock")
	}
	if deps.Passwords == nil {
		deps.Passwords = NewPasswords(StandardCost, 2, 0)
	}
	s := &Service{users: deps.Users, sessions: deps.Sessions, passwords: deps.Passwords, verified: newCache(),
		guesses: newThrottle(), now: deps.Now}
	return s, s.SetSecrets(deps.Secrets)
}

// SetSecrets replaces the secrets while the service runs. Tokens of a secret that is gone are refused from now on.
func (s *Service) SetSecrets(secrets []string) error {
	ring, err := newKeyring(secrets)
	if err != nil {
		return err
	}
	s.keys.Store(ring)
	s.verified.clear()
	return nil
}

// Verify returns who an access token belongs to. errs.Unauthenticated for every token that is not good, whatever
// the reason; errs.Unavailable when the store cannot be asked. It asks the store at most once in 4 s for a token.
func (s *Service) Verify(ctx context.Context, token string) (user.Principal, error) {
	now := s.now()
	if len(token) > maxTokenBytes {
		return user.Principal{}, refusedToken(errBadToken)
	}
	key := sha256.Sum256([]byte(token))
	principal, epoch, found := s.verified.get(key, now)
	if found {
		return principal, nil
	}
	principal, generation, err := s.keys.Load().read(token, now)
	if err != nil {
		return user.Principal{}, refusedToken(err)
	}
	standing, err := s.sessions.Standing(ctx, principal.UserID, principal.SessionID)
	if err != nil {
		return user.Principal{}, fmt.Errorf("read standing: %w", err)
	}
	if !standing.Open || standing.Generation != generation {
		return user.Principal{}, refusedToken(errors.New("session ended"))
	}
	principal.Role = standing.Role
	s.verified.put(key, principal, epoch, now)
	return principal, nil
}

// Confirm checks the password of a user who is logged in already, before something that cannot be
// undone. errs.Unauthenticated "wrong_password"; errs.Limited after too many failures in the
// caller's session.
func (s *Service) Confirm(ctx context.Context, caller user.Principal, u user.User,
	password string, from user.Origin) error {
	right, err := s.guess(ctx, guess{account: u.ID().String(), network: network(from.Address),
		credential: "session " + caller.SessionID.String(), confirms: true}, u, password)
	if err != nil {
		return err
	}
	if !right {
		return &errs.Error{Kind: errs.Unauthenticated, Code: "wrong_password", Message: "the password is wrong"}
	}
	return nil
}

// Normal is the form of a password that rules are applied to and that is hashed.
func (*Service) Normal(password string) string { return Normal(password) }

// Hash returns the hash to store for a new password. errs.Unavailable when too many are being hashed.
func (s *Service) Hash(ctx context.Context, password string, from user.Origin) (string, error) {
	return s.passwords.Hash(ctx, password, network(from.Address))
}

// Forget drops what this process remembers of the user's tokens, so that ending them takes effect here at once.
func (s *Service) Forget(userID uuid.UUID) { s.verified.forget(userID, uuid.Nil) }

// guess compares one password, if the throttle admits it, and counts the result.
func (s *Service) guess(ctx context.Context, g guess, u user.User, password string) (bool, error) {
	if err := s.guesses.begin(g, s.now()); err != nil {
		return false, err
	}
	result := undecided
	defer func() { s.guesses.end(g, result, s.now()) }()
	right, err := s.passwords.verify(ctx, g, u.PasswordHash(), password)
	if err != nil {
		return false, err
	}
	result = wrong
	if right {
		result = correct
	}
	return right, nil
}

// act is one audit row of this moment.
func (s *Service) act(actor, action, subject string, from user.Origin) (user.Audit, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return user.Audit{}, fmt.Errorf("draw audit id: %w", err)
	}
	return user.Audit{ID: id, Actor: actor, Action: action, Subject: subject, Address: from.Address,
		Request: from.Request, At: s.now().UTC().Truncate(time.Microsecond)}, nil
}

func refusedToken(cause error) error {
	return &errs.Error{Kind: errs.Unauthenticated, Code: "invalid_token", Message: "the access token is not valid", Cause: cause}
}

func normalIdentity(identity string) string { return strings.ToLower(strings.TrimSpace(identity)) }
