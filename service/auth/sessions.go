package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/user"
)

// Sessions lists the open sessions of the caller, the newest first.
func (s *Service) Sessions(ctx context.Context, who user.Principal) ([]user.Session, error) {
	sessions, err := s.sessions.Sessions(ctx, who.UserID, s.now())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	for i := range sessions {
		one := &sessions[i]
		one.StartedAt = sessionStart(one.ID)
		if end := sessionEnd(one.ID); end.Before(one.EndsAt) { // of before sessions had an end
			one.EndsAt = end
		}
	}
	return sessions, nil
}

// EndSession ends one of the caller's open sessions, as a logout in it does. errs.NotFound.
func (s *Service) EndSession(ctx context.Context, who user.Principal, session uuid.UUID,
	from user.Origin) error {
	act, err := s.act(who.UserID.String(), "session.ended", who.UserID.String(), from)
	if err != nil {
		return err
	}
	act.Detail = "session " + session.String()
	if err := s.sessions.EndSessionOf(ctx, who.UserID, session, act); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	s.verified.forget(who.UserID, session)
	return nil
}

// EndOtherSessions ends all sessions of the caller but the one that the request comes from.
func (s *Service) EndOtherSessions(ctx context.Context, who user.Principal,
	from user.Origin) error {
	act, err := s.act(who.UserID.String(), "session.ended", who.UserID.String(), from)
	if err != nil {
		return err
	}
	act.Detail = "all but session " + who.SessionID.String()
	if err := s.sessions.EndOtherSessions(ctx, who.UserID, who.SessionID, act); err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	s.verified.forget(who.UserID, uuid.Nil)
	return nil
}
