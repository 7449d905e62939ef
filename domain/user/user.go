// Package user holds the people who use Florin, their credentials' rules and their sessions.
package user

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/errs"
)

// Role says what a user may do beside managing what is theirs.
type Role string

const (
	// RoleUser is everybody.
	RoleUser Role = "user"
	// RoleAdmin may open the admin listener's routes. Elsewhere it is a user like others.
	RoleAdmin Role = "admin"
)

// User is a person with an account here. The zero value is nobody; New and Load make one.
type User struct {
	id           uuid.UUID
	username     string
	email        string
	passwordHash string
	role         Role
	generation   int64
	muted        bool
	createdAt    time.Time
	updatedAt    time.Time
	deletedAt    *time.Time
}

// Fresh is what a new user is made of. PasswordHash is a PHC string, never the password.
type Fresh struct {
	ID           uuid.UUID
	Username     string
	Email        string
	PasswordHash string
	Role         Role
	At           time.Time
}

// New returns a user with token generation 1, or an *errs.Error (Refused) that names every field at fault.
func New(f Fresh) (User, error) {
	if err := Check(f.Username, f.Email); err != nil {
		return User{}, err
	}
	if f.ID == uuid.Nil || f.PasswordHash == "" || (f.Role != RoleUser && f.Role != RoleAdmin) {
		return User{}, errs.New(errs.Internal, "internal", "a user needs an id, a password hash and a role")
	}
	at := f.At.UTC().Truncate(time.Microsecond)
	return User{id: f.ID, username: f.Username, email: f.Email, passwordHash: f.PasswordHash, role: f.Role,
		generation: 1, createdAt: at, updatedAt: at}, nil
}

// State is a user as it was stored. Load trusts it: the rules of New held when it was made.
type State struct {
	ID           uuid.UUID
	Username     string
	Email        string
	PasswordHash string
	Role         Role
	Generation   int64
	Muted        bool // wants no e-mail about payments
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DeletedAt    *time.Time
}

// Load makes a user from what a store kept, without checking it again.
func Load(s State) User {
	return User{id: s.ID, username: s.Username, email: s.Email, passwordHash: s.PasswordHash, role: s.Role,
		generation: s.Generation, muted: s.Muted, createdAt: s.CreatedAt, updatedAt: s.UpdatedAt, deletedAt: s.DeletedAt}
}

// State returns what a store has to keep.
func (u User) State() State {
	return State{ID: u.id, Username: u.username, Email: u.email, PasswordHash: u.passwordHash, Role: u.role,
		Generation: u.generation, Muted: u.muted, CreatedAt: u.createdAt, UpdatedAt: u.updatedAt, DeletedAt: u.deletedAt}
}

func (u User) ID() uuid.UUID        { return u.id }
func (u User) Username() string     { return u.username }
func (u User) Email() string        { return u.email }
func (u User) PasswordHash() string { return u.passwordHash }
func (u User) Role() Role           { return u.role }
func (u User) CreatedAt() time.Time { return u.createdAt }
func (u User) UpdatedAt() time.Time { return u.updatedAt }

// Generation is the number that an access token must carry; raising it ends every token at once.
func (u User) Generation() int64 { return u.generation }

// EmailNotifications says that the user wants e-mail about payments. A new user does.
func (u User) EmailNotifications() bool { return !u.muted }

// NotifyByEmail turns e-mail about payments on or off.
func (u *User) NotifyByEmail(on bool, at time.Time) {
	u.muted = !on
	u.updatedAt = at.UTC().Truncate(time.Microsecond)
}

// Deleted says that the user was anonymised: nobody can log in as it any more.
func (u User) Deleted() bool { return u.deletedAt != nil }

// Rename changes username and email; an empty one stays as it is.
func (u *User) Rename(username, email string, at time.Time) error {
	if username == "" {
		username = u.username
	}
	if email == "" {
		email = u.email
	}
	if err := Check(username, email); err != nil {
		return err
	}
	u.username, u.email = username, email
	u.updatedAt = at.UTC().Truncate(time.Microsecond)
	return nil
}

// SetPassword replaces the hash and ends every token that was issued before.
func (u *User) SetPassword(hash string, at time.Time) {
	u.passwordHash = hash
	u.generation++
	u.updatedAt = at.UTC().Truncate(time.Microsecond)
}

// Anonymise takes everything that names the person and ends every token. The row stays: the books refer to it.
func (u *User) Anonymise(at time.Time) {
	at = at.UTC().Truncate(time.Microsecond)
	name := "deleted-" + strings.ReplaceAll(u.id.String(), "-", "")
	u.username = name
	u.email = name + "@deleted.invalid"
	u.passwordHash = "!"
	u.role = RoleUser
	u.generation++
	u.updatedAt, u.deletedAt = at, &at
}
