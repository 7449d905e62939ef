// Package transaction is the web API of transactions: what became of a payment, and how.
package transaction

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	accountsvc "florin/service/account"
)

// Service is what these handlers use of the account service.
type Service interface {
	Transaction(ctx context.Context, userID, transactionID uuid.UUID) (t *account.Transaction, side uuid.UUID, err error)
	Timeline(ctx context.Context, userID, transactionID uuid.UUID) ([]account.TimelineItem, error)
	RefundTransaction(ctx context.Context, r accountsvc.RefundRequest) (accountsvc.Outcome, error)
	CancelTransaction(ctx context.Context, r accountsvc.CancelRequest) (accountsvc.Outcome, error)
	WaitTerminal(ctx context.Context, userID, transactionID uuid.UUID, wait time.Duration) (t *account.Transaction, side uuid.UUID, err error)
}

// Handlers answers the routes below /transaction. Its methods are safe for concurrent use.
type Handlers struct{ transactions Service }

// New returns the handlers.
func New(transactions Service) *Handlers { return &Handlers{transactions: transactions} }
