package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"florin/domain/errs"
	"florin/domain/user"
)

// maxRepeats bounds how many exchanges a repeat is carried along; each took place within
// user.RepeatGrace.
const maxRepeats = 8

// Refresh exchanges a refresh token for the next pair. A token that was used within
// user.RepeatGrace gets the same next token again; one that was used before ends its whole session,
// because one of the two who showed it stole it. errs.Unauthenticated "invalid_refresh_token" in
// every refused case.
func (s *Service) Refresh(ctx context.Context, refresh string, from user.Origin) (Tokens, error) {
	for range maxRepeats {
		tokens, next, err := s.exchange(ctx, refresh, from)
		if next == "" {
			return tokens, err
		}
		refresh = next
	}
	return Tokens{}, refusedRefresh()
}

// exchange is one step of a refresh. next is the text of a token that is used already in its turn.
func (s *Service) exchange(ctx context.Context, refresh string, from user.Origin) (
	tokens Tokens, next string, err error) {
	if !strings.HasPrefix(refresh, refreshPrefix) {
		return Tokens{}, "", refusedRefresh()
	}
	now := s.now()
	keys := s.keys.Load()
	first, err := newRow(keys.next(keys.signing, refresh), now)
	if err != nil {
		return Tokens{}, "", err
	}
	texts := map[string]string{} // by hash
	var hashes []string
	for id := range keys.secrets {
		text := keys.next(id, refresh)
		texts[hashRefresh(text)] = text
		hashes = append(hashes, hashRefresh(text))
	}
	// The store writes this act only where reuse ends the family; a plain rotation changes nobody's rights.
	act, err := s.act(anonymous, "session.reused", "", from)
	if err != nil {
		return Tokens{}, "", err
	}
	u, row, rotation, err := s.sessions.RotateSession(ctx, hashRefresh(refresh), first, hashes, act)
	if err != nil {
		return Tokens{}, "", fmt.Errorf("rotate session: %w", err)
	}
	switch rotation {
	case user.RotationDone, user.RotationRepeated:
		if row.Used {
			return Tokens{}, texts[row.Hash], nil
		}
		if !sessionEnd(row.Family).After(now) { // a session from before sessions had an end
			return Tokens{}, "", refusedRefresh()
		}
		tokens, err = s.tokens(u, row.Family, texts[row.Hash])
		return tokens, "", err
	case user.RotationReused:
		s.verified.forget(row.UserID, row.Family)
	case user.RotationRefused:
	}
	return Tokens{}, "", refusedRefresh()
}

// tokens is what a client gets of a session.
func (s *Service) tokens(u user.User, session uuid.UUID, refresh string) (Tokens, error) {
	now := s.now()
	lives := min(AccessLifetime, sessionEnd(session).Sub(now))
	access, err := s.keys.Load().sign(u, session, now, lives)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{Access: access, Refresh: refresh, ExpiresIn: lives}, nil
}

func refusedRefresh() error {
	return errs.New(errs.Unauthenticated, "invalid_refresh_token", "the refresh token is not valid")
}
