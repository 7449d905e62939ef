// Package reconciliation is the administrators' web API of how the books compare with the providers.
package reconciliation

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	service "florin/service/reconcile"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Service is what these handlers use; *service/reconcile.Service is one.
type Service interface {
	State(ctx context.Context, page account.Page) (service.State, error)
	Request(ctx context.Context, by account.Operator) (account.ReconciliationRequest, error)
}

// Handlers answers /admin/reconciliation. Its methods are safe for concurrent use.
type Handlers struct {
	reconciler Service
	cursors    decode.Cursors
}

// New returns the handlers.
func New(reconciler Service, cursors decode.Cursors) *Handlers {
	return &Handlers{reconciler: reconciler, cursors: cursors}
}

// Reconciliation is all that is known.
type Reconciliation struct {
	Providers   []Provider   `json:"providers" nullable:"false"`
	Runs        []Run        `json:"runs" nullable:"false" description:"The last comparisons, newest first."`
	Differences []Difference `json:"differences" nullable:"false" description:"A page of the open ones, newest first."`
	NextCursor  *string      `json:"next_cursor" description:"Of the differences; opaque, null on the last page."`
}

// Provider is how far a provider's events are applied.
type Provider struct {
	Name     string     `json:"name" example:"mock"`
	ListedAt *time.Time `json:"listed_at" description:"When its events were listed last; null before the first time."`
}

// Run is one comparison.
type Run struct {
	ID          uuid.UUID `json:"id" format:"uuid"`
	Provider    string    `json:"provider" example:"mock"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	Matched     int64     `json:"matched" description:"Movements that both sides have alike."`
	UnderWay    int64     `json:"under_way" description:"Differences that are too young to count."`
	Differences int64     `json:"differences" description:"Differences that are there, the new ones among them."`
	Found       int64     `json:"found" description:"Differences that are new."`
	Closed      int64     `json:"closed" description:"Differences that are gone."`
	// What the numbers above are true of.
	Compared   bool       `json:"compared" description:"Whether anything of a time that is over was compared. Where it was not, no difference means nothing."`
	CoversFrom *time.Time `json:"covers_from" description:"The oldest movement that was compared; null for none."`
	CoversTo   *time.Time `json:"covers_to" description:"What moved after that is under way and was not compared; null where nothing was."`
	ListUntil  *time.Time `json:"list_until" description:"The newest movement in the provider's list; null where it is empty."`
}

// Difference is a movement that the two sides do not agree on. Amounts are by how much the provider holds more, in minor units.
type Difference struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Provider  string    `json:"provider" example:"mock"`
	Effect    string    `json:"effect" enum:"payment,payout,refund,dispute,fee"`
	Ref       string    `json:"ref" description:"The provider's id of it."`
	Currency  string    `json:"currency" example:"EUR"`
	Ours      *int64    `json:"ours" description:"What our clearing accounts say; null for nothing."`
	Theirs    *int64    `json:"theirs" description:"What the provider's list says; null for nothing."`
	ReviewID  uuid.UUID `json:"review_id" format:"uuid"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
}

// Request is the body of POST /admin/reconciliation.
type Request struct {
	Reason string `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"the provider mended its list"`
}

// Requested is a comparison that was asked for.
type Requested struct {
	ID          uuid.UUID `json:"id" format:"uuid"`
	RequestedAt time.Time `json:"requested_at"`
}

// listName binds the cursors of the open differences to their list.
const listName = "differences"

// Get serves GET /admin/reconciliation.
func (h *Handlers) Get(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	query, err := decode.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	paging, err := h.cursors.Page(reader, listName, query)
	if err != nil {
		return err
	}
	found, err := h.reconciler.State(c.UserContext(), paging.Ask())
	if err != nil {
		return err
	}
	differences, next := decode.Cut(paging, found.Differences, func(d account.Difference) uuid.UUID { return d.ID })
	shown := Reconciliation{Providers: []Provider{}, Runs: []Run{}, Differences: make([]Difference, 0, len(differences)), NextCursor: next}
	for _, name := range slices.Sorted(maps.Keys(found.Marks)) {
		shown.Providers = append(shown.Providers, Provider{Name: name,
			ListedAt: optional(found.Marks[name].ListedAt)})
	}
	for _, r := range found.Runs {
		shown.Runs = append(shown.Runs, Run{ID: r.ID, Provider: r.Provider, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Matched: r.Matched,
			UnderWay: r.UnderWay, Differences: r.Differences, Found: r.Found, Closed: r.Closed,
			Compared: r.Compared(), CoversFrom: optional(r.CoversFrom),
			CoversTo: optional(r.CoversTo), ListUntil: optional(r.ListUntil)})
	}
	for _, d := range differences {
		shown.Differences = append(shown.Differences, Difference{ID: d.ID, Provider: d.Provider, Effect: string(d.Effect), Ref: d.Ref,
			Currency: d.Currency, Ours: d.Ours, Theirs: d.Theirs, ReviewID: d.ReviewID, CreatedAt: d.CreatedAt, SeenAt: d.SeenAt})
	}
	return wire.Send(c, fiber.StatusOK, shown)
}

// optional is nil for the zero time.
func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// Request serves POST /admin/reconciliation: 202; 422 reason_required.
func (h *Handlers) Request(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	var in Request
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	asked, err := h.reconciler.Request(c.UserContext(), middleware.Operator(c, in.Reason))
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusAccepted, Requested{ID: asked.ID, RequestedAt: asked.RequestedAt})
}
