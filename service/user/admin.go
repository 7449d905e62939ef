package user

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// adminEmail cannot receive mail (RFC 2606): whoever runs the server may change it.
const adminEmail = "admin@florin.invalid"

// EnsureAdmin creates the user "admin" when no administrator exists. Without a password it draws one and returns it,
// to be shown once; otherwise the answer is empty. Several servers may call it at once: one creates.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (generated string, err error) {
	exists, err := s.users.AdminExists(ctx)
	if err != nil {
		return "", fmt.Errorf("look for an administrator: %w", err)
	}
	if exists {
		return "", nil
	}
	if password == "" {
		secret := make([]byte, 18)
		if _, err := rand.Read(secret); err != nil {
			return "", fmt.Errorf("draw administrator's password: %w", err)
		}
		generated = base64.RawURLEncoding.EncodeToString(secret)
		password = generated
	}
	if err := domain.CheckAll("admin", adminEmail, password); err != nil {
		return "", fmt.Errorf("administrator's password: %w", err)
	}
	u, err := s.build(ctx, Registration{Username: "admin", Email: adminEmail, Password: password}, domain.RoleAdmin, domain.Origin{})
	if err != nil {
		return "", err
	}
	act, err := s.act("system", "admin.created", u.ID(), domain.Origin{})
	if err != nil {
		return "", err
	}
	if err := s.users.CreateUser(ctx, u, act); err != nil {
		return s.lostRace(ctx, err)
	}
	return generated, nil
}

// lostRace tells another server that was faster from an ordinary user who is called "admin".
func (s *Service) lostRace(ctx context.Context, cause error) (string, error) {
	if errs.KindOf(cause) == errs.Conflict {
		if exists, err := s.users.AdminExists(ctx); err == nil && exists {
			return "", nil
		}
	}
	return "", fmt.Errorf("create administrator: %w", cause)
}
