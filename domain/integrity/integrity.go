// Package integrity is the words of the continuous proof that the books are sound, and the port to the store that proves them.
package integrity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// ErrFenced is a round under a lease that somebody else has taken over. Nothing was written.
var ErrFenced = errors.New("the lease is somebody else's by now")

// Finding is an invariant that does not hold somewhere. Of each Invariant and Subject at most one is open.
type Finding struct {
	ID        uuid.UUID
	Invariant string // "I3"
	Subject   string // "account …", "transaction …", or what else the violation names first
	Detail    string // the row that must not be; ids and amounts alone
	// TransactionID is uuid.Nil where the finding is about no one transaction.
	TransactionID uuid.UUID
	// Accounts are the users' accounts on which nothing must be written any more: none where the money on them is not in doubt.
	Accounts []uuid.UUID
	FoundAt  time.Time
}

// Round is what one look at the log has found.
type Round struct {
	// Events is how many events were looked at, 0 at the end of the log.
	Events int
	// Unhandled are the open findings of which nobody was told yet, of earlier rounds too.
	Unhandled []Finding
}

// State is how far the books are proved.
type State struct {
	Position int64 // of the last event that was looked at
	Head     int64 // of the last event
	// ProvedAt is when the log was last proved to Position; zero before the first time.
	ProvedAt time.Time
	// FullAt is when the last pass over all books ended; zero before the first.
	FullAt   time.Time
	FullTook time.Duration
	// Broken are the open findings, the oldest first, at most 100; BrokenCount is how many there are.
	Broken      []Finding
	BrokenCount int64
}

// Proofs is the store that proves itself. Errors are errs.Unavailable where the database is down, and ErrFenced.
type Proofs interface {
	// Pending says whether there is anything for ProveLog to do.
	Pending(ctx context.Context) (bool, error)
	// ProveLog looks at what up to limit events after the last proved position have touched, and again at what earlier rounds
	// found broken, in one snapshot. One commit then moves the position and keeps and clears findings.
	ProveLog(ctx context.Context, fence int64, limit int) (Round, error)
	// ProveAll looks at all books in one snapshot, which takes as long as it takes, and keeps and clears findings.
	ProveAll(ctx context.Context) (Round, error)
	// Handled notes that a finding was told and its accounts are frozen.
	Handled(ctx context.Context, findingID uuid.UUID) error
	// State tells how far the books are proved.
	State(ctx context.Context) (State, error)
}
