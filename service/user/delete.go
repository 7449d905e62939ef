package user

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// Delete anonymises a user for itself, who shows the password. The books stay.
// errs.NotFound; errs.Unauthenticated "wrong_password"; errs.Conflict "money_on_accounts", "own_admin".
func (s *Service) Delete(ctx context.Context, caller domain.Principal, id uuid.UUID, password string, from domain.Origin) error {
	u, err := s.Get(ctx, caller, id)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, caller, password, from); err != nil {
		return err
	}
	if u.Role() == domain.RoleAdmin {
		return errs.New(errs.Conflict, "own_admin", "an administrator cannot delete itself")
	}
	act, err := s.act(caller.UserID.String(), "user.deleted", id, from)
	if err != nil {
		return err
	}
	return s.erase(ctx, u, act)
}

func (s *Service) erase(ctx context.Context, u domain.User, act domain.Audit) error {
	rich, err := s.accounts.MoneyOnAccounts(ctx, u.ID())
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	if rich {
		return errs.New(errs.Conflict, "money_on_accounts", "money, a hold or an open payment is on an account of this user")
	}
	if err := s.users.DeleteUser(ctx, u.ID(), s.now(), act); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	s.credentials.Forget(u.ID())
	return nil
}
