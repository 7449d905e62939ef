package user

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Audit is one act on an identity, appended in the same commit as the act.
type Audit struct {
	ID      uuid.UUID
	Actor   string // a user's id, "system", or "anonymous"
	Action  string // for example "user.registered", "login.failed"
	Subject string // what it was done to; never a secret and never what a stranger typed
	Reason  string
	Detail  string
	Address string // the client's network address
	Request string // the request's id
	At      time.Time
	// Notices are stored with the act. More than MaxNotices are errs.Limited "too_many_changes", and
	// nothing is done.
	Notices []Notice
}

// Origin is where a request came from, for the audit and for limits. Address is the client's network address.
type Origin struct {
	Address string
	Request string
	// Device is the device token that a login shows, "" for none.
	Device string
}

// Store keeps users. Every error that is not named is internal, or errs.Unavailable when the store is away.
type Store interface {
	// CreateUser adds a user. errs.Conflict with code "username_taken" or "email_taken" (letter case aside).
	CreateUser(ctx context.Context, u User, act Audit) error
	// UserByID returns the user, a deleted one too. errs.NotFound.
	UserByID(ctx context.Context, id uuid.UUID) (User, error)
	// UserByIdentity finds a living user by username or email, letter case aside. errs.NotFound.
	UserByIdentity(ctx context.Context, identity string) (User, error)
	// ChangeUser loads the user under a lock, applies the change and stores it in one commit. When the change raised
	// the token generation, every refresh token of the user is revoked with it. The change may run more than once.
	// errs.NotFound (a deleted user too), errs.Conflict as CreateUser; an error of change comes back as it is.
	ChangeUser(ctx context.Context, id uuid.UUID, change func(*User) error, act Audit) (User, error)
	// DeleteUser does what ChangeUser does with User.Anonymise, closes the user's accounts, and refuses with
	// errs.Conflict "money_on_accounts" where money, a hold or an open payment is left on one of them at the commit.
	DeleteUser(ctx context.Context, id uuid.UUID, at time.Time, act Audit) error
	// Record appends one act that changes nothing else, such as a look at a user.
	Record(ctx context.Context, act Audit) error
	// AdminExists says whether a living user has the role admin.
	AdminExists(ctx context.Context) (bool, error)
}

// AccountsOf answers what deletion must know of a user's accounts.
type AccountsOf interface {
	// MoneyOnAccounts says whether money, a hold or an open payment is on any account of the user.
	MoneyOnAccounts(ctx context.Context, userID uuid.UUID) (bool, error)
}
