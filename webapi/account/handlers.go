// Package account is the web API of accounts: opening, reading and closing them, moving money on them, and
// hearing from providers. A use case is a file.
package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
	accountsvc "florin/service/account"
	"florin/webapi/decode"
)

// Service is what these handlers use of the service.
type Service interface {
	Deposit(ctx context.Context, r accountsvc.DepositRequest) (accountsvc.Outcome, error)
	Withdraw(ctx context.Context, r accountsvc.WithdrawRequest) (accountsvc.Outcome, error)
	Transfer(ctx context.Context, r accountsvc.TransferRequest) (accountsvc.Outcome, error)
	OpenAccount(ctx context.Context, r accountsvc.OpenAccountRequest) (accountsvc.AccountOutcome, error)
	CloseAccount(ctx context.Context, userID, accountID uuid.UUID, requestID string) (*account.Account, error)
	FreezeAccount(ctx context.Context, accountID uuid.UUID, by account.Operator) (*account.Account, error)
	UnfreezeAccount(ctx context.Context, accountID uuid.UUID, by account.Operator) (*account.Account, error)
	Account(ctx context.Context, userID, accountID uuid.UUID) (*account.Account, error)
	Accounts(ctx context.Context, userID uuid.UUID, page account.Page) ([]*account.Account, error)
	Totals(ctx context.Context, userID uuid.UUID) ([]account.Total, error)
	BalanceAt(ctx context.Context, userID, accountID uuid.UUID, at time.Time) (*account.Account, money.Money, error)
	ExplainAccount(ctx context.Context, userID, accountID uuid.UUID) (*account.Explanation, error)
	Transactions(ctx context.Context, userID, accountID uuid.UUID, filter account.TransactionFilter, page account.Page) ([]*account.Transaction, error)
	Entries(ctx context.Context, userID, accountID uuid.UUID, filter account.EntryFilter) (*account.Account, []account.EntryLine, error)
}

// Handlers answers the routes below /account, /accounts and /admin/accounts. Its methods are safe for concurrent use.
type Handlers struct {
	accounts Service
	cursors  decode.Cursors
	now      func() time.Time
}

// New returns the handlers. The clock is UTC with microseconds.
func New(accounts Service, cursors decode.Cursors, now func() time.Time) *Handlers {
	return &Handlers{accounts: accounts, cursors: cursors, now: now}
}
