package user

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// adminDomain cannot receive mail (RFC 2606): whoever runs the server may change the address.
const adminDomain = "@florin.invalid"

// Bootstrap is what became of the administrator at a start. The zero value is that there was one.
type Bootstrap struct {
	// Username is the administrator's who was created. It is not "admin" where a user who is no
	// administrator has that name.
	Username string
	// Generated is the password that was drawn, to be shown once; "" where one was given.
	Generated string
}

// EnsureAdmin creates an administrator when none exists, "admin" if that name is free. Without a
// password it draws one. Several servers may call it at once: one creates. No user's row stands in
// its way, and none is made an administrator.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (Bootstrap, error) {
	exists, err := s.users.AdminExists(ctx)
	if err != nil {
		return Bootstrap{}, fmt.Errorf("look for an administrator: %w", err)
	}
	if exists {
		return Bootstrap{}, nil
	}
	var made Bootstrap
	if password == "" {
		if made.Generated, err = draw(18); err != nil {
			return Bootstrap{}, err
		}
		password = made.Generated
	}
	apart, err := draw(6)
	if err != nil {
		return Bootstrap{}, err
	}
	for _, name := range []string{"admin", "administrator", "florin-admin-" + apart} {
		err := s.createAdmin(ctx, name, password)
		if err == nil {
			made.Username = name
			return made, nil
		}
		if errs.KindOf(err) != errs.Conflict {
			return Bootstrap{}, fmt.Errorf("create administrator: %w", err)
		}
		// Another server was faster, or an ordinary user has the name.
		if exists, err := s.users.AdminExists(ctx); err != nil || exists {
			return Bootstrap{}, err
		}
	}
	return Bootstrap{}, errors.New("create administrator: no name is free")
}

func (s *Service) createAdmin(ctx context.Context, name, password string) error {
	if err := domain.CheckAll(name, name+adminDomain, password); err != nil {
		return fmt.Errorf("administrator's password: %w", err)
	}
	r := Registration{Username: name, Email: name + adminDomain, Password: password}
	u, err := s.build(ctx, r, domain.RoleAdmin, domain.Origin{})
	if err != nil {
		return err
	}
	act, err := s.act("system", "admin.created", u.ID(), domain.Origin{})
	if err != nil {
		return err
	}
	return s.users.CreateUser(ctx, u, act)
}

func draw(bytes int) (string, error) {
	secret := make([]byte, bytes)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("draw for the administrator: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}
