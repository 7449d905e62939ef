package user

import (
	"context"
	"errors"
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
	// CurrentPassword is the present one. A new email or password needs it.
	CurrentPassword *string
}

// Update changes a user for itself. A new password ends every token of the user. errs.NotFound;
// errs.Refused naming the fields; errs.Conflict "username_taken", "email_taken", "user_changed";
// errs.Unauthenticated "wrong_password"; errs.Forbidden "password_required"; errs.Limited
// "too_many_changes", or as a login.
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
	if err := s.proved(ctx, caller, before, up, from); err != nil {
		return domain.User{}, err
	}
	hash, err := s.newHash(ctx, up, from)
	if err != nil {
		return domain.User{}, err
	}
	act, err := s.act(caller.UserID.String(), "user.updated", id, from)
	if err != nil {
		return domain.User{}, err
	}
	act.Detail = up.changed()
	if act.Notices, err = s.notices(before, up); err != nil {
		return domain.User{}, err
	}
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
func (s *Service) newHash(ctx context.Context, up Update, from domain.Origin) (string, error) {
	if up.Password == nil {
		return "", nil
	}
	return s.credentials.Hash(ctx, *up.Password, from)
}

// proved checks the present password where the change is one that whoever only found an open
// session must not make.
func (s *Service) proved(ctx context.Context, caller domain.Principal, before domain.User,
	up Update, from domain.Origin) error {
	switch {
	case up.Password == nil && !up.movesEmail(before):
		return nil
	case up.CurrentPassword == nil:
		return errs.New(errs.Forbidden, "password_required",
			"send current_password to change the email or the password")
	}
	return s.credentials.Confirm(ctx, caller, before, *up.CurrentPassword, from)
}

func (up Update) movesEmail(before domain.User) bool {
	return up.Email != nil && *up.Email != before.Email()
}

// notices tell the owner at every address concerned.
func (s *Service) notices(before domain.User, up Update) ([]domain.Notice, error) {
	var notices []domain.Notice
	tell := func(kind domain.NoticeKind, address string) error {
		// No mail arrives there: it is the administrator's until somebody changes it.
		if !s.tell || strings.HasSuffix(address, adminDomain) {
			return nil
		}
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("draw notice id: %w", err)
		}
		notices = append(notices, domain.Notice{ID: id, UserID: before.ID(), Kind: kind,
			Address: address, CreatedAt: s.now()})
		return nil
	}
	var failures []error
	if up.movesEmail(before) {
		failures = append(failures, tell(domain.NoticeEmail, before.Email()),
			tell(domain.NoticeEmail, *up.Email))
	}
	if up.Password != nil {
		failures = append(failures, tell(domain.NoticePassword, before.Email()))
	}
	return notices, errors.Join(failures...)
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
