package database

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
)

// DepositFailures keeps where deposits come from and counts those that fail. It implements account.DepositFailures.
type DepositFailures struct{ db *DB }

// NewDepositFailures returns the repository on an open, migrated database.
func NewDepositFailures(db *DB) *DepositFailures { return &DepositFailures{db: db} }

type depositOriginRow struct {
	TransactionID uuid.UUID `gorm:"column:transaction_id;primaryKey"`
	Address       string
	Created       moment `gorm:"column:created_at"`
}

func (depositOriginRow) TableName() string { return "deposit_origins" }

// NoteOrigin implements account.DepositFailures.
func (s *DepositFailures) NoteOrigin(ctx context.Context, transactionID uuid.UUID, address string, at time.Time) error {
	row := depositOriginRow{TransactionID: transactionID, Address: address, Created: momentOf(at)}
	return toErrs("note origin", s.db.inTx(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	}))
}

// The failures of an account, and of an address: payments that ended so, and attempts at payments that are still open.
const (
	accountFailures = `SELECT
	(SELECT COUNT(*) FROM transactions t WHERE t.account_id = ? AND t.type = 'deposit' AND t.status = 'failed' AND t.updated_at > ?) +
	(SELECT COUNT(*) FROM inbox i JOIN transactions t ON t.id = i.transaction_id
		WHERE i.kind = 'payment.attempt_failed' AND i.received_at > ? AND t.account_id = ?)`
	addressFailures = `SELECT
	(SELECT COUNT(*) FROM deposit_origins o JOIN transactions t ON t.id = o.transaction_id
		WHERE o.address = ? AND o.created_at > ? AND t.status = 'failed') +
	(SELECT COUNT(*) FROM deposit_origins o JOIN inbox i ON i.transaction_id = o.transaction_id
		WHERE o.address = ? AND o.created_at > ? AND i.kind = 'payment.attempt_failed')`
)

// CountFailures implements account.DepositFailures.
func (s *DepositFailures) CountFailures(ctx context.Context, accountID uuid.UUID, address string, since time.Time) (account.FailureCount, error) {
	var count account.FailureCount
	from, db := momentOf(since), s.db.Reader().WithContext(ctx)
	if err := db.Raw(accountFailures, accountID, from, from, accountID).Row().Scan(&count.OnAccount); err != nil {
		return account.FailureCount{}, toErrs("count failures", err)
	}
	if address == "" {
		return count, nil
	}
	if err := db.Raw(addressFailures, address, from, address, from).Row().Scan(&count.FromAddress); err != nil {
		return account.FailureCount{}, toErrs("count failures", err)
	}
	return count, nil
}
