package account

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// MovementEffect is what a line of a provider's own list is about.
type MovementEffect string

// The effects of a movement. Whatever comes later to the same thing is in its amount: a payment that failed after it had succeeded
// has moved nothing, a payout that came back in part has moved the rest.
const (
	MovementPayment MovementEffect = "payment" // what came of a payment; ref is the payment
	MovementPayout  MovementEffect = "payout"  // what was paid out; ref is the payout
	MovementRefund  MovementEffect = "refund"  // ref is the refund
	MovementDispute MovementEffect = "dispute" // ref is the dispute
	MovementFee     MovementEffect = "fee"     // what the provider kept; ref is its own record of that
)

// MovementKey names a movement the same way on both sides.
type MovementKey struct {
	Effect   MovementEffect
	Ref      string // the provider's id
	Currency string
}

// Movement is by how much the thing named has changed what a provider holds for us. One of 0 is the same as none.
type Movement struct {
	MovementKey
	Amount int64 // minor units; above zero the provider holds more
	// ChangedAt is when it changed last, as far as that side knows.
	ChangedAt time.Time
}

// MovementLister is a provider that lists all that it holds for us, to be compared with our clearing accounts. Not every provider
// offers that.
type MovementLister interface {
	// ListMovements returns the movements behind the cursor, at most a page, with the cursor behind it: "" behind the last page.
	// "" begins at the first. Errors are of the classes above.
	ListMovements(ctx context.Context, cursor string) (page []Movement, next string, err error)
}

// Mark is how far a provider's events are applied.
type Mark struct {
	Cursor   string    // "" before the first
	ListedAt time.Time // when it was moved last, zero before the first
}

// MarkMove moves a provider's mark, under the fence of a lease.
type MarkMove struct {
	Provider string
	To       string
	Fence    int64
}

// Difference is a movement that the two sides do not agree on. A side that has no such movement is nil.
type Difference struct {
	ID       uuid.UUID
	Provider string
	MovementKey
	Ours, Theirs *int64 // minor units
	RunID        uuid.UUID
	ReviewID     uuid.UUID
	CreatedAt    time.Time
	SeenAt       time.Time
	ClosedAt     time.Time // zero while it is there
	// UnderWay is a difference that is too young to count: it is neither opened nor closed.
	UnderWay bool
}

// ReconciliationRun is one comparison with a provider's own list.
type ReconciliationRun struct {
	ID                 uuid.UUID
	Provider           string
	StartedAt, EndedAt time.Time
	Matched            int64 // movements that both sides have alike
	UnderWay           int64 // differences that are too young to count
	Differences        int64 // that are there, the new ones among them
	Found, Closed      int64 // differences that are new, and those that are gone
	// CoversFrom and CoversTo are the time that was compared: from the oldest movement of either
	// side to where what is under way begins. Zero where neither side has moved anything, and in
	// runs of older programs.
	CoversFrom, CoversTo time.Time
	// ListUntil is the time of the newest movement in the provider's list, zero where it is empty.
	ListUntil time.Time
}

// Compared says whether the run has compared anything of a time that is over. Where it has not,
// that it found no difference means nothing.
func (r ReconciliationRun) Compared() bool {
	return !r.CoversFrom.IsZero() && r.CoversFrom.Before(r.CoversTo) && r.Matched+r.Differences > 0
}

// ReconciliationRequest is an operator's wish for a comparison now.
type ReconciliationRequest struct {
	ID          uuid.UUID
	RequestedAt time.Time
	DoneAt      time.Time // zero while it waits
	Failure     string    // for people, "" where it went well
}

// Reconciliations is the store of what is reconciled with providers.
type Reconciliations interface {
	// FindMarks returns the marks by provider. A provider that was never listed has none.
	FindMarks(ctx context.Context) (map[string]Mark, error)
	// MoveMark moves it. ErrLeaseLost where a later holder of the lease has moved it.
	MoveMark(ctx context.Context, move MarkMove) error
	// UnknownEvents are those of the provider's event ids that were never stored.
	UnknownEvents(ctx context.Context, provider string, ids []string) (map[string]bool, error)

	// OurMovements hands over what our clearing accounts of the provider say, movement by movement, in no order. It blocks until
	// all are read, from one snapshot of the books.
	OurMovements(ctx context.Context, provider string, each func(Movement) error) error
	// SaveRun stores a run with the differences that it saw, in one commit: those that were not open before are opened with a
	// review each, up to a bound, and those that are gone are closed, with their reviews. It returns the run as it is stored, and
	// the new differences.
	SaveRun(ctx context.Context, run ReconciliationRun, seen []Difference) (ReconciliationRun, []Difference, error)
	// FindRuns returns the last runs, newest first; of one provider, or of all for "".
	FindRuns(ctx context.Context, provider string, limit int) ([]ReconciliationRun, error)
	// FindDifferences lists the open ones, newest first.
	FindDifferences(ctx context.Context, page Page) ([]Difference, error)
	// CountDifferences counts the open ones by provider.
	CountDifferences(ctx context.Context) (map[string]int64, error)

	// AddRequest asks for a run now, with an audit row. The reason is required.
	AddRequest(ctx context.Context, by Operator) (ReconciliationRequest, error)
	// FindRequest returns one. errs.NotFound.
	FindRequest(ctx context.Context, id uuid.UUID) (ReconciliationRequest, error)
	// OpenRequests are those that wait.
	OpenRequests(ctx context.Context) ([]ReconciliationRequest, error)
	// FinishRequests ends them.
	FinishRequests(ctx context.Context, ids []uuid.UUID, failure string) error
}

// ErrLeaseLost is work that somebody else has taken over.
var ErrLeaseLost = errors.New("the lease is somebody else's")
