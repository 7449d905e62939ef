package user

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	domain "florin/domain/user"
)

// Administration is what an administrator does to a user, on the listener of administrators. Nobody
// sets another's password or email there or anywhere: whoever can has become that user.
type Administration struct {
	Caller domain.Principal
	UserID uuid.UUID
	Reason string
	From   domain.Origin
}

// Inspect returns a user to an administrator, and keeps in the audit who looked and why.
// errs.NotFound, for a deleted user too; errs.Refused "reason_required" or "invalid_reason".
func (s *Service) Inspect(ctx context.Context, a Administration) (domain.User, error) {
	u, act, err := s.administer(ctx, a, "user.inspected")
	if err != nil {
		return domain.User{}, err
	}
	if err := s.users.Record(ctx, act); err != nil {
		return domain.User{}, fmt.Errorf("record the look at a user: %w", err)
	}
	return u, nil
}

// Erase anonymises a user for an administrator, who shows their own password. Errors as Inspect and
// Delete.
func (s *Service) Erase(ctx context.Context, a Administration, password string) error {
	u, act, err := s.administer(ctx, a, "user.deleted")
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, a.Caller, password, a.From); err != nil {
		return err
	}
	if a.Caller.UserID == u.ID() {
		return errs.New(errs.Conflict, "own_admin", "an administrator cannot delete itself")
	}
	return s.erase(ctx, u, act)
}

func (s *Service) administer(ctx context.Context, a Administration, action string) (
	domain.User, domain.Audit, error) {
	if !a.Caller.Admin() {
		return domain.User{}, domain.Audit{}, errs.Missing("user")
	}
	if err := (account.Operator{Reason: a.Reason}).CheckReason(); err != nil {
		return domain.User{}, domain.Audit{}, err
	}
	u, err := s.living(ctx, a.UserID)
	if err != nil {
		return domain.User{}, domain.Audit{}, err
	}
	act, err := s.act(a.Caller.UserID.String(), action, a.UserID, a.From)
	act.Reason = a.Reason
	return u, act, err
}
