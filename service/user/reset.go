package user

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// ResetAdmin draws a new password for the administrator of that name and ends every session of
// theirs. It is for whoever runs the server and has lost the password, not for a caller of the API.
// errs.NotFound where no living administrator has the name.
func (s *Service) ResetAdmin(ctx context.Context, name, operator string) (drawn string, err error) {
	u, err := s.users.UserByIdentity(ctx, name)
	if err != nil {
		return "", fmt.Errorf("find administrator: %w", err)
	}
	if u.Role() != domain.RoleAdmin {
		return "", errs.Missing("administrator")
	}
	if drawn, err = drawPassword(); err != nil {
		return "", err
	}
	hash, err := s.credentials.Hash(ctx, drawn, domain.Origin{})
	if err != nil {
		return "", err
	}
	act, err := s.act(operator, "admin.password_reset", u.ID(), domain.Origin{})
	if err != nil {
		return "", err
	}
	if _, err := s.users.ChangeUser(ctx, u.ID(), func(u *domain.User) error {
		if u.Role() != domain.RoleAdmin {
			return errs.Missing("administrator")
		}
		u.SetPassword(hash, s.now())
		return nil
	}, act); err != nil {
		return "", fmt.Errorf("reset administrator: %w", err)
	}
	s.credentials.Forget(u.ID())
	return drawn, nil
}

func drawPassword() (string, error) {
	secret := make([]byte, 18)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("draw administrator's password: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}
