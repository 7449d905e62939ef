package user

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"florin/domain/errs"
	domain "florin/domain/user"
)

// Update is what changes; what is nil stays.
type Update struct {
	Username *string
	Email    *string
	Password *string
	// EmailNotifications turns e-mail about payments on or off.
	EmailNotifications *bool
	// CurrentPassword is the caller's own. A new password needs it unless the caller has just logged in.
	CurrentPassword *string
}

// Update changes a user for itself. A new password ends every token of the user.
// errs.NotFound; errs.Refused naming the fields; errs.Conflict "username_taken", "email_taken", "user_changed";
// errs.Unauthenticated "wrong_password"; errs.Forbidden "password_required".
func (s *Service) Update(ctx context.Context, caller domain.Principal, id uuid.UUID, up Update, from domain.Origin) (domain.User, error) {
	before, err := s.Get(ctx, caller, id)
	if err != nil {
		return domain.User{}, err
	}
	if up.Password != nil {
		normal := s.credentials.Normal(*up.Password)
		up.Password = &normal
	}
	if err := up.check(before); err != nil {
		return domain.User{}, err
	}
	hash, err := s.newHash(ctx, caller, up, from)
	if err != nil {
		return domain.User{}, err
	}
	act, err := s.act(caller.UserID.String(), "user.updated", id, from)
	if err != nil {
		return domain.User{}, err
	}
	act.Detail = up.changed()
	after, err := s.users.ChangeUser(ctx, id, func(u *domain.User) error {
		if u.Generation() != before.Generation() {
			return errs.New(errs.Conflict, "user_changed", "the user was changed at the same time, try again")
		}
		if err := u.Rename(valueOf(up.Username), valueOf(up.Email), s.now()); err != nil {
			return err
		}
		if up.EmailNotifications != nil {
			u.NotifyByEmail(*up.EmailNotifications, s.now())
		}
		if hash != "" {
			u.SetPassword(hash, s.now())
		}
		return nil
	}, act)
	if err != nil {
		return domain.User{}, fmt.Errorf("update user: %w", err)
	}
	s.credentials.Forget(id)
	return after, nil
}

// newHash returns the hash of the new password, empty when there is none.
func (s *Service) newHash(ctx context.Context, caller domain.Principal, up Update, from domain.Origin) (string, error) {
	if up.Password == nil {
		return "", nil
	}
	switch {
	case up.CurrentPassword != nil:
		if err := s.confirm(ctx, caller, *up.CurrentPassword, from); err != nil {
			return "", err
		}
	case s.now().Sub(caller.AuthenticatedAt) > recentLogin:
		return "", errs.New(errs.Forbidden, "password_required", "log in again, or send current_password, to set a new password")
	}
	return s.credentials.Hash(ctx, *up.Password, from)
}

func (up Update) check(before domain.User) error {
	username, email := before.Username(), before.Email()
	var chosen [2]string // what the user does not have yet
	if up.Username != nil && !strings.EqualFold(*up.Username, username) {
		chosen[0] = *up.Username
	}
	if up.Email != nil && !strings.EqualFold(*up.Email, email) {
		chosen[1] = *up.Email
	}
	if err := domain.CheckReserved(chosen[0], chosen[1]); err != nil {
		return err
	}
	if up.Username != nil {
		username = *up.Username
	}
	if up.Email != nil {
		email = *up.Email
	}
	if up.Password == nil {
		return domain.Check(username, email)
	}
	return domain.CheckAll(username, email, *up.Password)
}

// changed names what a request changes, for the audit; never the values.
func (up Update) changed() string {
	var names []string
	for _, field := range []struct {
		name  string
		value *string
	}{{"username", up.Username}, {"email", up.Email}, {"password", up.Password}} {
		if field.value != nil {
			names = append(names, field.name)
		}
	}
	if up.EmailNotifications != nil {
		names = append(names, "email_notifications")
	}
	return strings.Join(names, ",")
}

func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
