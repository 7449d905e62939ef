package user

import (
	"time"

	"github.com/google/uuid"
)

// Principal is who sends a request, as the credential proved it.
type Principal struct {
	UserID uuid.UUID
	Role   Role
	// SessionID is the family of refresh tokens that the access token belongs to.
	SessionID uuid.UUID
	// ExpiresAt is when the credential ends; a long-lived stream must not outlast it.
	ExpiresAt time.Time
}

// Admin says whether the principal may do what only administrators may.
func (p Principal) Admin() bool { return p.Role == RoleAdmin }
