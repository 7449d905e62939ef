// Package user keeps the people: registration, their data, their password, their leaving.
package user

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// Credentials is what the service needs of authentication.
type Credentials interface {
	// Normal is the form of a password that rules are applied to and that is hashed.
	Normal(password string) string
	// Hash returns what to store of a password. errs.Unavailable when too many are being hashed.
	Hash(ctx context.Context, password string, from domain.Origin) (string, error)
	// Confirm checks the password of the caller, who is u. errs.Unauthenticated "wrong_password";
	// errs.Limited.
	Confirm(ctx context.Context, caller domain.Principal, u domain.User, password string,
		from domain.Origin) error
	// Forget makes ended tokens of the user ended in this process at once.
	Forget(userID uuid.UUID)
}

// ServiceDeps is what the service is built from; all of it but Tell is required.
type ServiceDeps struct {
	Users       domain.Store
	Accounts    domain.AccountsOf
	Credentials Credentials
	Now         func() time.Time
	// Tell says that users are told by mail when their email or password is changed.
	Tell bool
}

// Service is safe for concurrent use.
type Service struct {
	users       domain.Store
	accounts    domain.AccountsOf
	credentials Credentials
	now         func() time.Time
	tell        bool
}

// NewService returns the service, or an error when a part is missing.
func NewService(deps ServiceDeps) (*Service, error) {
	if deps.Users == nil || deps.Accounts == nil || deps.Credentials == nil || deps.Now == nil {
		return nil, errors.New("user service needs users, accounts, credentials and a clock")
	}
	return &Service{users: deps.Users, accounts: deps.Accounts, credentials: deps.Credentials,
		now: deps.Now, tell: deps.Tell}, nil
}

// Get returns a user to itself. errs.NotFound for everybody else, administrators too, and for a
// deleted user.
func (s *Service) Get(ctx context.Context, caller domain.Principal, id uuid.UUID) (domain.User, error) {
	if caller.UserID != id {
		return domain.User{}, errs.Missing("user")
	}
	return s.living(ctx, id)
}

func (s *Service) living(ctx context.Context, id uuid.UUID) (domain.User, error) {
	u, err := s.users.UserByID(ctx, id)
	if err != nil {
		return domain.User{}, fmt.Errorf("get user: %w", err)
	}
	if u.Deleted() {
		return domain.User{}, errs.Missing("user")
	}
	return u, nil
}

// confirm checks the caller's own password.
func (s *Service) confirm(ctx context.Context, caller domain.Principal, password string, from domain.Origin) error {
	self, err := s.users.UserByID(ctx, caller.UserID)
	if err != nil {
		return fmt.Errorf("find caller: %w", err)
	}
	return s.credentials.Confirm(ctx, caller, self, password, from)
}

func (s *Service) act(actor, action string, subject uuid.UUID, from domain.Origin) (domain.Audit, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return domain.Audit{}, fmt.Errorf("draw audit id: %w", err)
	}
	return domain.Audit{ID: id, Actor: actor, Action: action, Subject: subject.String(), Address: from.Address,
		Request: from.Request, At: s.now().UTC().Truncate(time.Microsecond)}, nil
}
