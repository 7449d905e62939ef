// Package integrity is the administrators' web API of the continuous proof of the books.
package integrity

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/integrity"
	"florin/webapi/decode"
	"florin/webapi/wire"
)

// Service is what these handlers use; *service/integrity.Service is one.
type Service interface {
	State(ctx context.Context) (integrity.State, error)
}

// Handlers answers the routes below /admin/integrity. Its methods are safe for concurrent use.
type Handlers struct{ proof Service }

// New returns the handlers.
func New(proof Service) *Handlers { return &Handlers{proof} }

// State is the JSON of how far the books are proved.
type State struct {
	Sound          bool       `json:"sound" description:"Nothing is known to be broken."`
	ProvedPosition int64      `json:"proved_position" minimum:"0" description:"The position of the last event that was looked at."`
	ProvedAt       *time.Time `json:"proved_at" description:"When the proof last moved; null before the first time."`
	LagEvents      int64      `json:"lag_events" minimum:"0" description:"Events that were not looked at yet."`
	FullPass       *FullPass  `json:"full_pass" description:"The last pass over all books; null before the first."`
	BrokenCount    int64      `json:"broken_count" minimum:"0"`
	Broken         []Finding  `json:"broken" nullable:"false" maxItems:"100" description:"What is broken now, the oldest first."`
}

// FullPass is a pass over all books.
type FullPass struct {
	EndedAt time.Time `json:"ended_at"`
	TookMS  int64     `json:"took_ms" minimum:"0"`
}

// Finding is an invariant that does not hold somewhere.
type Finding struct {
	ID        uuid.UUID   `json:"id" format:"uuid"`
	Invariant string      `json:"invariant" example:"I3"`
	Subject   string      `json:"subject" example:"account 0198c0de-0000-7000-8000-00000000000a"`
	Detail    string      `json:"detail" description:"The row that must not be."`
	Accounts  []uuid.UUID `json:"accounts" nullable:"false" description:"The accounts that were frozen for it."`
	FoundAt   time.Time   `json:"found_at"`
}

// Get serves GET /admin/integrity: 200.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	state, err := h.proof.State(c.UserContext())
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, stateOf(state))
}

func stateOf(s integrity.State) State {
	shown := State{Sound: s.BrokenCount == 0, ProvedPosition: s.Position, LagEvents: s.Head - s.Position, BrokenCount: s.BrokenCount,
		Broken: make([]Finding, 0, len(s.Broken))}
	if !s.ProvedAt.IsZero() {
		shown.ProvedAt = &s.ProvedAt
	}
	if !s.FullAt.IsZero() {
		shown.FullPass = &FullPass{EndedAt: s.FullAt, TookMS: s.FullTook.Milliseconds()}
	}
	for _, f := range s.Broken {
		shown.Broken = append(shown.Broken, Finding{ID: f.ID, Invariant: f.Invariant, Subject: f.Subject, Detail: f.Detail,
			Accounts: append([]uuid.UUID{}, f.Accounts...), FoundAt: f.FoundAt})
	}
	return shown
}
