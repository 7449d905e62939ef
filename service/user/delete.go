package user

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// Delete anonymises a user for itself or for an administrator, who shows his own password. The books stay.
// errs.NotFound; errs.Unauthenticated "wrong_password"; errs.Conflict "money_on_accounts", "own_admin".
func (s *Service) Delete(ctx context.Context, caller domain.Principal, id uuid.UUID, password string, from domain.Origin) error {
	u, err := s.Get(ctx, caller, id)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, caller, password, from); err != nil {
		return err
	}
	if u.Role() == domain.RoleAdmin && caller.UserID == id {
		return errs.New(errs.Conflict, "own_admin", "an administrator cannot delete itself")
	}
	rich, err := s.accounts.MoneyOnAccounts(ctx, id)
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	if rich {
		return errs.New(errs.Conflict, "money_on_accounts", "money, a hold or an open payment is on an account of this user")
	}
	act, err := s.act(caller.UserID.String(), "user.deleted", id, from)
	if err != nil {
		return err
	}
	if err := s.users.DeleteUser(ctx, id, s.now(), act); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	s.credentials.Forget(id)
	return nil
}
