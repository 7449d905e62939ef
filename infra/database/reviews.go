package database

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// Reviews implements account.Reviews on the reader's handle.
type Reviews struct{ db *DB }

var _ account.Reviews = (*Reviews)(nil)

// NewReviews returns the reviews of a database.
func NewReviews(db *DB) *Reviews { return &Reviews{db: db} }

// FindReviews implements account.Reviews.
func (r *Reviews) FindReviews(ctx context.Context, filter account.ReviewFilter, page account.Page) ([]account.Review, error) {
	query := narrowed(r.db.Reader().WithContext(ctx), map[string]string{"status": string(filter.Status), "kind": filter.Kind}, filter.TransactionID)
	var rows []reviewRow
	if err := paged(query, page).Find(&rows).Error; err != nil {
		return nil, toErrs("find reviews", err)
	}
	list := make([]account.Review, len(rows))
	for i, row := range rows {
		list[i] = row.toReview()
	}
	return list, nil
}

// FindReview implements account.Reviews.
func (r *Reviews) FindReview(ctx context.Context, id uuid.UUID) (account.Review, error) {
	var row reviewRow
	if err := r.db.Reader().WithContext(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return account.Review{}, found("find review", "review", err)
	}
	return row.toReview(), nil
}

// FindAnyTransaction implements account.Reviews.
func (r *Reviews) FindAnyTransaction(ctx context.Context, id uuid.UUID) (*account.Transaction, error) {
	var row transactionRow
	if err := r.db.Reader().WithContext(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return nil, found("find transaction", "Transaction", err)
	}
	return r.db.transactionOf(row)
}

// FindStanding implements account.Reviews.
func (r *Reviews) FindStanding(ctx context.Context, transactionID uuid.UUID) (account.Standing, error) {
	var rows []struct {
		Code     string
		Currency string
		Amount   int64
	}
	err := r.db.Reader().WithContext(ctx).Raw(`SELECT a.code, e.currency, CAST(SUM(e.amount) AS bigint) AS amount FROM entries e JOIN accounts a ON a.id = e.account_id
		WHERE e.transaction_id = ? AND a.kind = 'system' AND a.code IN ('suspense', 'receivable') GROUP BY a.code, e.currency`, transactionID).
		Scan(&rows).Error
	if err != nil {
		return account.Standing{}, toErrs("find what stands", err)
	}
	var standing account.Standing
	for _, row := range rows {
		amount, err := moneyFromRow(row.Amount, row.Currency)
		into := &standing.Suspense
		if err == nil && row.Code == "receivable" {
			into = &standing.Receivable
			amount, err = amount.Neg()
		}
		if err == nil && *into != (money.Money{}) {
			err = fmt.Errorf("transaction %s has %s in two currencies", transactionID, row.Code)
		}
		if err != nil {
			return account.Standing{}, toErrs("find what stands", err)
		}
		*into = amount
	}
	return standing, nil
}
