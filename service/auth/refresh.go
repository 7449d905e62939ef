package auth

import (
	"context"
	"fmt"
	"strings"

	"florin/domain/errs"
	"florin/domain/user"
)

// Refresh exchanges a refresh token for the next pair. A token that was used before ends its whole session, because
// one of the two who showed it stole it. errs.Unauthenticated "invalid_refresh_token" in every refused case.
func (s *Service) Refresh(ctx context.Context, refresh string, from user.Origin) (Tokens, error) {
	if !strings.HasPrefix(refresh, refreshPrefix) {
		return Tokens{}, refusedRefresh()
	}
	now := s.now()
	text, next, err := newRefreshToken(now)
	if err != nil {
		return Tokens{}, err
	}
	// The store writes this act only where reuse ends the family; a plain rotation changes nobody's rights.
	act, err := s.act(anonymous, "session.reused", "", from)
	if err != nil {
		return Tokens{}, err
	}
	u, row, rotation, err := s.sessions.RotateSession(ctx, hashRefresh(refresh), next, act)
	if err != nil {
		return Tokens{}, fmt.Errorf("rotate session: %w", err)
	}
	switch rotation {
	case user.RotationDone:
		access, err := s.keys.Load().sign(u, row.Family, now)
		if err != nil {
			return Tokens{}, err
		}
		return Tokens{Access: access, Refresh: text, ExpiresIn: AccessLifetime}, nil
	case user.RotationReused:
		s.verified.forget(row.UserID, row.Family)
	case user.RotationRefused:
	}
	return Tokens{}, refusedRefresh()
}

func refusedRefresh() error {
	return errs.New(errs.Unauthenticated, "invalid_refresh_token", "the refresh token is not valid")
}
