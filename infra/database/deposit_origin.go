package database

import (
	"context"
	"database/sql"
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

// PurgeOrigins removes the addresses of deposits that were asked for before the time, and returns how many.
func (s *DepositFailures) PurgeOrigins(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		removed := s.db.Writer().WithContext(ctx).Exec(`DELETE FROM deposit_origins WHERE transaction_id IN
			(SELECT transaction_id FROM deposit_origins WHERE created_at < ? LIMIT ?)`, momentOf(before), purgeBatch)
		purged += int(removed.RowsAffected)
		if removed.Error != nil || removed.RowsAffected < purgeBatch {
			return purged, toErrs("purge origins", removed.Error)
		}
	}
}

// The failures of an account, and of an address: payments that ended so, and attempts at payments that are still open.
const (
	accountFailed = `SELECT
	(SELECT COUNT(*) FROM transactions t WHERE t.account_id = @account AND t.type = 'deposit' AND t.status = 'failed' AND t.updated_at > @since) +
	(SELECT COUNT(*) FROM inbox i JOIN transactions t ON t.id = i.transaction_id
		WHERE i.kind = 'payment.attempt_failed' AND i.received_at > @since AND t.account_id = @account)`
	addressFailed = `SELECT
	(SELECT COUNT(*) FROM deposit_origins o JOIN transactions t ON t.id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND t.status = 'failed') +
	(SELECT COUNT(*) FROM deposit_origins o JOIN inbox i ON i.transaction_id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND i.kind = 'payment.attempt_failed')`
	accountCompleted = `SELECT COUNT(*) FROM transactions t
		WHERE t.account_id = @account AND t.type = 'deposit' AND t.status = 'completed' AND t.created_at > @since`
	addressCompleted = `SELECT COUNT(*) FROM deposit_origins o JOIN transactions t ON t.id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND t.status = 'completed'`
)

// CountFailed implements account.DepositFailures.
func (s *DepositFailures) CountFailed(ctx context.Context, accountID uuid.UUID, address string, since time.Time) (account.DepositCount, error) {
	return s.count(ctx, accountFailed, addressFailed, accountID, address, since)
}

// CountCompleted implements account.DepositFailures.
func (s *DepositFailures) CountCompleted(ctx context.Context, accountID uuid.UUID, address string, since time.Time) (account.DepositCount, error) {
	return s.count(ctx, accountCompleted, addressCompleted, accountID, address, since)
}

func (s *DepositFailures) count(ctx context.Context, onAccount, fromAddress string, accountID uuid.UUID, address string, since time.Time) (account.DepositCount, error) {
	var count account.DepositCount
	db := s.db.Reader().WithContext(ctx)
	named := []any{sql.Named("account", accountID), sql.Named("address", address), sql.Named("since", momentOf(since))}
	if err := db.Raw(onAccount, named...).Row().Scan(&count.OnAccount); err != nil {
		return account.DepositCount{}, toErrs("count deposits", err)
	}
	if err := db.Raw(fromAddress, named...).Row().Scan(&count.FromAddress); err != nil {
		return account.DepositCount{}, toErrs("count deposits", err)
	}
	return count, nil
}
