package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/errs"
	"florin/domain/user"
)

// Logout ends the session of a principal: its refresh token at once, its access tokens within 5 s everywhere.
func (s *Service) Logout(ctx context.Context, who user.Principal, from user.Origin) error {
	return s.endSession(ctx, who.UserID, who.SessionID, from)
}

// LogoutByRefresh ends the session that a refresh token belongs to, whatever state the token is in: who holds one
// may always end it. A token that nobody issued ends nothing and is no error (RFC 7009, section 2.2).
func (s *Service) LogoutByRefresh(ctx context.Context, refresh string, from user.Origin) error {
	family, userID, err := s.sessions.SessionByHash(ctx, hashRefresh(refresh))
	if errs.KindOf(err) == errs.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find session: %w", err)
	}
	return s.endSession(ctx, userID, family, from)
}

func (s *Service) endSession(ctx context.Context, userID, session uuid.UUID, from user.Origin) error {
	act, err := s.act(userID.String(), "session.ended", userID.String(), from)
	if err != nil {
		return err
	}
	act.Detail = "session " + session.String()
	if err := s.sessions.EndSession(ctx, session, act); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	s.verified.forget(userID, session)
	return nil
}
