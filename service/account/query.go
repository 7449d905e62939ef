package account

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// Account returns the user's account; errs.NotFound for any other.
func (s *Service) Account(ctx context.Context, userID, accountID uuid.UUID) (*account.Account, error) {
	return s.books.FindAccount(ctx, userID, accountID)
}

// Accounts lists the user's accounts, newest first.
func (s *Service) Accounts(ctx context.Context, userID uuid.UUID, page account.Page) ([]*account.Account, error) {
	return s.books.FindAccounts(ctx, userID, page)
}

// Totals adds up the user's accounts per currency.
func (s *Service) Totals(ctx context.Context, userID uuid.UUID) ([]account.Total, error) {
	return s.books.SumAccounts(ctx, userID)
}

// BalanceAt is what was posted on the user's account at a past time.
func (s *Service) BalanceAt(ctx context.Context, userID, accountID uuid.UUID, at time.Time) (*account.Account, money.Money, error) {
	a, err := s.books.FindAccount(ctx, userID, accountID)
	if err != nil {
		return nil, money.Money{}, err
	}
	posted, err := s.books.PostedAt(ctx, a, at)
	return a, posted, err
}

// ExplainAccount returns what makes the balance of the user's account. errs.NotFound.
func (s *Service) ExplainAccount(ctx context.Context, userID, accountID uuid.UUID) (*account.Explanation, error) {
	return s.books.ExplainAccount(ctx, userID, accountID)
}

// Transactions lists the transactions of the user's account, newest first.
func (s *Service) Transactions(ctx context.Context, userID, accountID uuid.UUID, filter account.TransactionFilter, page account.Page) ([]*account.Transaction, error) {
	if _, err := s.books.FindAccount(ctx, userID, accountID); err != nil {
		return nil, err
	}
	return s.books.FindTransactions(ctx, accountID, filter, page)
}

// Entries lists the ledger lines of the user's account, newest first.
func (s *Service) Entries(ctx context.Context, userID, accountID uuid.UUID, filter account.EntryFilter) (*account.Account, []account.EntryLine, error) {
	a, err := s.books.FindAccount(ctx, userID, accountID)
	if err != nil {
		return nil, nil, err
	}
	lines, err := s.books.FindEntries(ctx, accountID, filter)
	return a, lines, err
}

// Transaction returns a transaction of either side's owner, and the account that the reader sees it from.
func (s *Service) Transaction(ctx context.Context, userID, transactionID uuid.UUID) (*account.Transaction, uuid.UUID, error) {
	return s.books.FindTransaction(ctx, userID, transactionID)
}

// Timeline is what happened to a transaction that the user can read, in order. Whoever has only received a transfer sees
// how it moved and the line on his own account: the request and the other lines are the sender's.
func (s *Service) Timeline(ctx context.Context, userID, transactionID uuid.UUID) ([]account.TimelineItem, error) {
	t, side, err := s.books.FindTransaction(ctx, userID, transactionID)
	if err != nil {
		return nil, err
	}
	items, err := s.books.FindTimeline(ctx, transactionID)
	if err != nil || t.UserID == userID {
		return items, err
	}
	return slices.DeleteFunc(items, func(item account.TimelineItem) bool {
		return item.Kind != "state_change" && item.Detail["account"] != side.String()
	}), nil
}

// WaitTerminal holds the answer until the transaction is terminal or the wait is over, which is not an error: the
// transaction is returned as it is then.
func (s *Service) WaitTerminal(ctx context.Context, userID, transactionID uuid.UUID, wait time.Duration) (*account.Transaction, uuid.UUID, error) {
	t, side, err := s.books.FindTransaction(ctx, userID, transactionID)
	if err != nil || wait <= 0 || s.waiter == nil || t.Status().Terminal() {
		return t, side, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, err = s.waiter.Wait(waitCtx, transactionID, func(ctx context.Context) (bool, error) {
		status, err := s.books.TransactionStatus(ctx, transactionID)
		return status.Terminal(), err
	})
	if err != nil && waitCtx.Err() == nil {
		return nil, uuid.Nil, err
	}
	return s.books.FindTransaction(ctx, userID, transactionID)
}
