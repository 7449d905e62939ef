package notification

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// ErrLeaseLost is a write of a worker whose endpoint somebody else has by now. Nothing was written.
var ErrLeaseLost = errors.New("the endpoint is somebody else's by now")

// MaxEndpoints is how many endpoints a user may have.
const MaxEndpoints = 20

// Endpoints keeps the endpoints of users. What belongs to another user is errs.NotFound, like what does not exist.
type Endpoints interface {
	// CreateEndpoint stores the endpoint with its secret and, unless it is nil, the answer under the request's key, in one
	// commit. Where the key was used before, nothing is stored and its record is returned. errs.Refused "too_many_endpoints".
	CreateEndpoint(ctx context.Context, e Endpoint, secret SealedSecret, key *account.IdempotencyRecord) (before *account.IdempotencyRecord, err error)
	FindEndpoint(ctx context.Context, userID, id uuid.UUID) (Endpoint, error)
	// FindEndpoints lists the user's endpoints, newest first.
	FindEndpoints(ctx context.Context, userID uuid.UUID, page account.Page) ([]Endpoint, error)
	// ChangeEndpoint loads, changes and stores the endpoint under its lock.
	ChangeEndpoint(ctx context.Context, userID, id uuid.UUID, change func(*Endpoint) error) (Endpoint, error)
	// DeleteEndpoint ends the endpoint, forgets its secrets and cancels what is pending.
	DeleteEndpoint(ctx context.Context, userID, id uuid.UUID, at time.Time) error
	// AddSecret makes the secret the endpoint's newest. Those before it sign until oldUntil at the latest, and of them only
	// the youngest two. The key is as in CreateEndpoint.
	AddSecret(ctx context.Context, userID uuid.UUID, secret SealedSecret, oldUntil time.Time, key *account.IdempotencyRecord) (e Endpoint, before *account.IdempotencyRecord, err error)
	// FindDeliveries lists the deliveries of an endpoint with their attempts, newest first.
	FindDeliveries(ctx context.Context, endpointID uuid.UUID, page account.Page) ([]Delivery, error)
	// Resend makes a delivery of the endpoint due at once, whatever became of it before, with the whole schedule before it.
	// errs.Conflict "endpoint_disabled".
	Resend(ctx context.Context, endpointID, deliveryID uuid.UUID, at time.Time) (Delivery, error)
}

// Recorder turns events into deliveries.
type Recorder interface {
	// AnyEndpoint says whether any endpoint is enabled.
	AnyEndpoint(ctx context.Context) (bool, error)
	// EnabledEndpoints are those of the users.
	EnabledEndpoints(ctx context.Context, users []uuid.UUID) ([]Endpoint, error)
	// AddDeliveries stores those that are new, and wakes their endpoints. One whose event and endpoint have a delivery, or
	// whose endpoint is not enabled any more, is left out.
	AddDeliveries(ctx context.Context, deliveries []Delivery, now time.Time) error
}

// Claim is an endpoint that this worker alone sends to until its lease ends.
type Claim struct {
	Endpoint Endpoint
	Secrets  []SealedSecret // those that sign, newest first
	Health   Health
	Fence    int64
}

// Result is what came of one attempt.
type Result struct {
	Delivery Delivery
	Attempt  Attempt
	Health   Health
	Gone     bool                // the endpoint is to be disabled
	Dead     *account.DeadLetter // for a delivery that was given up
}

// Queue is the work of those who send. Any number of servers share it: each endpoint is one worker's at a time.
type Queue interface {
	// ClaimEndpoints leases up to limit endpoints that have something due, the longest due first. until gets the number of
	// times that an endpoint was claimed without being given back.
	ClaimEndpoints(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]Claim, error)
	// DueDeliveries are the claim's deliveries that are due, in the order in which they are; none when it is lost.
	DueDeliveries(ctx context.Context, c Claim, now time.Time, limit int) ([]Delivery, error)
	// Record stores the results of attempts, the oldest first, in one commit: all or none. ErrLeaseLost.
	Record(ctx context.Context, c Claim, results []Result) error
	// Release gives the endpoint back. If more is due, it is so behind all others that are due now.
	Release(ctx context.Context, c Claim, now time.Time) error
}

// Message is one request to an endpoint.
type Message struct {
	URL     string
	ID      string
	At      time.Time
	Body    []byte
	Secrets []Secret // each makes a signature
}

// Sent is what came of a message. Answer is nil where none came; Failure says why then, in words for the endpoint's owner.
type Sent struct {
	Header  map[string]string
	Answer  *Answer
	Failure string
}

// WebhookSender sends a message once and waits for the answer, with a deadline of its own.
type WebhookSender interface {
	Send(ctx context.Context, m Message) Sent
}
