package user

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// RefreshToken is one link of a session: a family of tokens of which only the newest may be used, once. The token
// itself is known to the client alone; Hash is its SHA-256 in hex.
type RefreshToken struct {
	ID        uuid.UUID
	Family    uuid.UUID // the session
	UserID    uuid.UUID
	Hash      string
	CreatedAt time.Time
	ExpiresAt time.Time // of the whole session: the next token has the same
	Used      bool      // it was exchanged for the next one
}

// Session is an open session of a user, from a login to its end.
type Session struct {
	ID        uuid.UUID
	StartedAt time.Time
	UsedAt    time.Time // the last login or refresh
	EndsAt    time.Time
}

const (
	// RepeatGrace is how long a used refresh token may be shown again: by a second tab, or by a client
	// that lost the answer. Whoever shows it gets the token that it was exchanged for, so that there
	// is still one at a time, and a later reuse still tells of theft.
	RepeatGrace = 10 * time.Second
	// MaxSessions is how many sessions of a user are open; one more ends the oldest.
	MaxSessions = 50
)

// Rotation is the outcome of showing a refresh token.
type Rotation uint8

const (
	// RotationRefused is a token that is unknown, expired, or of an ended session.
	RotationRefused Rotation = iota
	// RotationReused is a token that was used before: its whole family is ended now.
	RotationReused
	// RotationRepeated is a token that was used within RepeatGrace. The family goes on.
	RotationRepeated
	// RotationDone is a token that was exchanged for the next one.
	RotationDone
)

// Standing is what a verified access token is checked against.
type Standing struct {
	Role       Role
	Generation int64
	// Open says that the user is not deleted and the session was not ended.
	Open bool
}

// SessionStore keeps sessions. Errors are internal, or errs.Unavailable when the store is away.
type SessionStore interface {
	// StartSession stores the first token of a new family, and ends the oldest of more than
	// MaxSessions. errs.Unauthenticated "invalid_credentials" when the user was deleted or the token
	// generation moved since u was read: its password may be another now.
	StartSession(ctx context.Context, u User, t RefreshToken, act Audit) error
	// RotateSession exchanges the token with the hash for next, whose Family, UserID and ExpiresAt it
	// fills. For a repeat it returns in place of next the one that the shown token was exchanged for,
	// which has one of the hashes in nexts. Reuse ends the family in the same commit. The user is the
	// owner of the shown token where it is known.
	RotateSession(ctx context.Context, hash string, next RefreshToken, nexts []string, act Audit) (
		User, RefreshToken, Rotation, error)
	// EndSession revokes a family; ending it again, or one that is unknown, is no error.
	EndSession(ctx context.Context, family uuid.UUID, act Audit) error
	// EndSessionOf revokes an open session of the user. errs.NotFound.
	EndSessionOf(ctx context.Context, userID, family uuid.UUID, act Audit) error
	// EndOtherSessions revokes every session of the user but the one.
	EndOtherSessions(ctx context.Context, userID, but uuid.UUID, act Audit) error
	// Sessions lists the sessions of the user that are open at now, the newest first.
	Sessions(ctx context.Context, userID uuid.UUID, now time.Time) ([]Session, error)
	// SessionByHash returns the family and the user of a refresh token, whatever its state. errs.NotFound.
	SessionByHash(ctx context.Context, hash string) (family, userID uuid.UUID, err error)
	// Standing reads the state of a user and of one of its sessions; a closed one when either is unknown.
	Standing(ctx context.Context, userID, family uuid.UUID) (Standing, error)
	// Record appends one act that changes nothing else, such as a failed login.
	Record(ctx context.Context, act Audit) error
}
