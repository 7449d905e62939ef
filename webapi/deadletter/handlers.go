// Package deadletter is the administrators' web API of what could not be worked off.
package deadletter

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	service "florin/service/deadletter"
	"florin/webapi/decode"
)

// Service is what these handlers use; *service/deadletter.Service is one.
type Service interface {
	FindDeadLetters(ctx context.Context, filter account.DeadLetterFilter, page account.Page) ([]account.DeadLetter, error)
	FindDeadLetter(ctx context.Context, id uuid.UUID) (account.DeadLetter, error)
	Redrive(ctx context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error)
	RedriveMany(ctx context.Context, ids []uuid.UUID, by account.Operator) ([]service.Settled, error)
	Discard(ctx context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error)
}

// Handlers answers the routes below /admin/dead-letters. Its methods are safe for concurrent use.
type Handlers struct {
	letters Service
	cursors decode.Cursors
}

// New returns the handlers.
func New(letters Service, cursors decode.Cursors) *Handlers {
	return &Handlers{letters: letters, cursors: cursors}
}

// DeadLetter is the JSON of a dead letter. A list leaves the payload out: it may hold what a provider or a client wrote.
type DeadLetter struct {
	ID            uuid.UUID  `json:"id" format:"uuid"`
	Source        string     `json:"source" enum:"inbox,subscriber,delivery" description:"A provider's event, an event for a subscriber, or a message."`
	SourceName    string     `json:"source_name" example:"email" description:"The subscriber or the channel; empty for the inbox."`
	SourceID      uuid.UUID  `json:"source_id" format:"uuid"`
	TransactionID *uuid.UUID `json:"transaction_id" format:"uuid"`
	Status        string     `json:"status" enum:"open,redriven,discarded"`
	Reason        string     `json:"reason" example:"internal" description:"A stable code."`
	LastError     string     `json:"last_error"`
	Tries         int        `json:"tries" minimum:"0"`
	Payload       *string    `json:"payload,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at"`
	SettledBy     *string    `json:"settled_by" description:"A user's id, or the name of who used the command."`
	SettledWhy    *string    `json:"settled_why"`
}

// DeadLetters is a page, newest first.
type DeadLetters struct {
	Data       []DeadLetter `json:"data" nullable:"false"`
	NextCursor *string      `json:"next_cursor" description:"Opaque; null on the last page."`
}

func deadLetterOf(d account.DeadLetter) DeadLetter {
	shown := DeadLetter{ID: d.ID, Source: string(d.Source), SourceName: d.SourceName, SourceID: d.SourceID, Status: string(d.Status),
		Reason: d.Reason, LastError: d.LastError, Tries: d.Tries, CreatedAt: d.CreatedAt}
	if d.TransactionID != uuid.Nil {
		shown.TransactionID = &d.TransactionID
	}
	if !d.SettledAt.IsZero() {
		shown.SettledAt, shown.SettledBy, shown.SettledWhy = &d.SettledAt, &d.SettledBy, &d.SettledWhy
	}
	return shown
}

func wholeDeadLetter(d account.DeadLetter) DeadLetter {
	shown := deadLetterOf(d)
	shown.Payload = &d.Payload
	return shown
}
