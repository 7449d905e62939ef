// Package review is the administrators' web API of what a person must decide.
package review

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	service "florin/service/account"
	"florin/webapi/decode"
	"florin/webapi/wire"
)

// Service is what these handlers use; *service/account.Service is one.
type Service interface {
	Reviews(ctx context.Context, filter account.ReviewFilter, page account.Page) ([]account.Review, error)
	Review(ctx context.Context, id uuid.UUID) (service.ReviewDetail, error)
	SettleReview(ctx context.Context, in service.Settlement) (service.ReviewDetail, error)
}

// Handlers answers the routes below /admin/reviews. Its methods are safe for concurrent use.
type Handlers struct {
	reviews Service
	cursors decode.Cursors
}

// New returns the handlers.
func New(reviews Service, cursors decode.Cursors) *Handlers {
	return &Handlers{reviews: reviews, cursors: cursors}
}

// Summary is a review in a list.
type Summary struct {
	ID            uuid.UUID  `json:"id" format:"uuid"`
	Kind          string     `json:"kind" example:"surplus" description:"What happened; the kinds are in docs/operations.md."`
	Status        string     `json:"status" enum:"open,settled"`
	TransactionID *uuid.UUID `json:"transaction_id" format:"uuid"`
	InboxID       *uuid.UUID `json:"inbox_id" format:"uuid" description:"The provider's event that it came of."`
	Detail        string     `json:"detail"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at"`
	SettledBy     *string    `json:"settled_by" description:"A user's id, the name of who used the command, or system."`
	SettledWhy    *string    `json:"settled_why"`
	Outcome       *string    `json:"outcome" example:"credit_account"`
	SettlementID  *uuid.UUID `json:"settlement_transaction_id" format:"uuid" description:"The transaction that booked the outcome."`
}

// Review is one with what can be decided.
type Review struct {
	Summary
	Transaction *wire.Transaction `json:"transaction"`
	Standing    *Standing         `json:"standing" description:"The money that waits for the decision; null where none stands."`
	Outcomes    []string          `json:"outcomes" nullable:"false" description:"What may be decided; empty once it is settled."`
}

// Standing is money in suspense, or owed. It is below zero where it is lost.
type Standing struct {
	Amount   string `json:"amount" example:"1.00"`
	Currency string `json:"currency" example:"EUR"`
}

// Reviews is a page, newest first.
type Reviews struct {
	Data       []Summary `json:"data" nullable:"false"`
	NextCursor *string   `json:"next_cursor" description:"Opaque; null on the last page."`
}

func summaryOf(r account.Review) Summary {
	shown := Summary{ID: r.ID, Kind: r.Kind, Status: string(r.Status), Detail: r.Detail, CreatedAt: r.CreatedAt}
	for id, into := range map[*uuid.UUID]**uuid.UUID{&r.TransactionID: &shown.TransactionID, &r.InboxID: &shown.InboxID, &r.SettlementID: &shown.SettlementID} {
		if *id != uuid.Nil {
			*into = id
		}
	}
	if r.Status == account.ReviewSettled {
		outcome := string(r.Outcome)
		shown.SettledAt, shown.SettledBy, shown.SettledWhy, shown.Outcome = &r.SettledAt, &r.SettledBy, &r.SettledWhy, &outcome
	}
	return shown
}

func reviewOf(d service.ReviewDetail) Review {
	shown := Review{Summary: summaryOf(d.Review), Outcomes: []string{}}
	if t := d.Transaction; t != nil {
		transaction := wire.TransactionOf(t, t.AccountID, t.UserID)
		shown.Transaction = &transaction
	}
	if !d.Standing.IsZero() {
		shown.Standing = &Standing{Amount: d.Standing.Decimal(), Currency: d.Standing.Currency().Code()}
	}
	for _, outcome := range d.Outcomes {
		shown.Outcomes = append(shown.Outcomes, string(outcome))
	}
	return shown
}
