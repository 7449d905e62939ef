package user

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	domain "florin/domain/user"
)

// Registration is what somebody chooses who wants to become a user.
type Registration struct {
	Username string
	Email    string
	Password string
}

// Register creates a user with the role "user". errs.Refused names every field at fault,
// "reserved_name" among them; errs.Conflict "username_taken" or "email_taken".
func (s *Service) Register(ctx context.Context, r Registration, from domain.Origin) (domain.User, error) {
	r.Password = s.credentials.Normal(r.Password)
	if err := domain.CheckNew(r.Username, r.Email, r.Password); err != nil {
		return domain.User{}, err
	}
	u, err := s.build(ctx, r, domain.RoleUser, from)
	if err != nil {
		return domain.User{}, err
	}
	act, err := s.act(u.ID().String(), "user.registered", u.ID(), from)
	if err != nil {
		return domain.User{}, err
	}
	if err := s.users.CreateUser(ctx, u, act); err != nil {
		return domain.User{}, fmt.Errorf("register: %w", err)
	}
	return u, nil
}

func (s *Service) build(ctx context.Context, r Registration, role domain.Role,
	from domain.Origin) (domain.User, error) {
	hash, err := s.credentials.Hash(ctx, r.Password, from)
	if err != nil {
		return domain.User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return domain.User{}, fmt.Errorf("draw user id: %w", err)
	}
	return domain.New(domain.Fresh{ID: id, Username: r.Username, Email: r.Email, PasswordHash: hash, Role: role, At: s.now()})
}
