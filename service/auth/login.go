package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/errs"
	"florin/domain/user"
)

// anonymous is the actor of an act before anybody proved who it is.
const anonymous = "anonymous"

// Login exchanges a username or email and a password for a new session. An unknown user and a wrong
// password are the same errs.Unauthenticated "invalid_credentials", and take as long. errs.Limited
// after too many failures: those of others count only for a login without a device token of the
// user.
func (s *Service) Login(ctx context.Context, identity, password string, from user.Origin) (Tokens, error) {
	identity = normalIdentity(identity)
	if len(identity) > user.MaxEmail {
		identity = ""
	}
	u, err := s.users.UserByIdentity(ctx, identity)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return Tokens{}, fmt.Errorf("find user: %w", err)
	}
	known := err == nil
	account, subject := "?"+identity, "unknown"
	if known {
		account, subject = u.ID().String(), u.ID().String()
	}
	g := guess{account: account, network: network(from.Address)}
	device, familiar := uuid.Nil, false
	if known {
		device, familiar = s.keys.Load().knownDevice(from.Device, u.ID(), s.now())
	}
	if familiar {
		g.credential = "device " + device.String()
	}
	right, err := s.guess(ctx, g, u, password)
	if err != nil {
		return Tokens{}, err
	}
	if !known || !right {
		return Tokens{}, s.refuseLogin(ctx, subject, from)
	}
	tokens, err := s.start(ctx, u, from)
	if err != nil {
		return Tokens{}, err
	}
	tokens.Device, err = s.keys.Load().device(u.ID(), device, s.now())
	return tokens, err
}

// refuseLogin records the failure. The subject is a user's id or "unknown": what a stranger typed may be a password.
func (s *Service) refuseLogin(ctx context.Context, subject string, from user.Origin) error {
	act, err := s.act(anonymous, "login.failed", subject, from)
	if err != nil {
		return err
	}
	if err := s.sessions.Record(ctx, act); err != nil {
		return fmt.Errorf("record failed login: %w", err)
	}
	return errs.New(errs.Unauthenticated, "invalid_credentials", "username, email or password is wrong")
}

func (s *Service) start(ctx context.Context, u user.User, from user.Origin) (Tokens, error) {
	now := s.now()
	session, err := newSessionID(now)
	if err != nil {
		return Tokens{}, err
	}
	refresh, row, err := newRefreshToken(now)
	if err != nil {
		return Tokens{}, err
	}
	row.Family, row.UserID = session, u.ID()
	act, err := s.act(u.ID().String(), "login.succeeded", u.ID().String(), from)
	if err != nil {
		return Tokens{}, err
	}
	if err := s.sessions.StartSession(ctx, u, row, act); err != nil {
		return Tokens{}, fmt.Errorf("start session: %w", err)
	}
	return s.tokens(u, session, refresh)
}
