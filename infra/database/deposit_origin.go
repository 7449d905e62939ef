package database

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
)

// DepositFailures keeps where deposits come from and counts those that fail. It implements
// account.DepositFailures.
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

type cardFailureRow struct {
	Provider      string    `gorm:"column:provider;primaryKey"`
	EventID       string    `gorm:"column:event_id;primaryKey"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	UserID        uuid.UUID `gorm:"column:user_id"`
	Card          string
	Created       moment `gorm:"column:created_at"`
}

func (cardFailureRow) TableName() string { return "card_failures" }

// NoteCard implements account.DepositFailures.
func (s *DepositFailures) NoteCard(ctx context.Context, f account.CardFailure) error {
	row := cardFailureRow{Provider: f.Provider, EventID: f.EventID, TransactionID: f.TransactionID,
		UserID: f.UserID, Card: f.Card, Created: momentOf(f.At)}
	return toErrs("note card", s.db.inTx(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	}))
}

// CallIn implements account.DepositFailures. A payment that its provider has not answered for yet
// has nothing there to be canceled; it is left until it has.
func (s *DepositFailures) CallIn(ctx context.Context, provider string, userID uuid.UUID, at time.Time) (int, error) {
	called := 0
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		var ids []uuid.UUID
		err := tx.Table("transactions").Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
			Where("user_id = ? AND type = 'deposit' AND next_attempt_at IS NOT NULL", userID).
			Where("provider = ? AND status = 'pending' AND expires_at > ?", provider, momentOf(at)).
			Order("id").Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		called = len(ids)
		return tx.Exec("UPDATE transactions SET expires_at = ?, next_attempt_at = ? WHERE id IN ?", momentOf(at), momentOf(at), ids).Error
	})
	return called, toErrs("call deposits in", err)
}

// PurgeOrigins removes the addresses of deposits that were asked for before the time, and the cards
// that failed before it, and returns how many.
func (s *DepositFailures) PurgeOrigins(ctx context.Context, before time.Time) (int, error) {
	addresses, err := s.purge(ctx, `DELETE FROM deposit_origins WHERE transaction_id IN
		(SELECT transaction_id FROM deposit_origins WHERE created_at < ? LIMIT ?)`, before)
	if err != nil {
		return addresses, err
	}
	cards, err := s.purge(ctx, `DELETE FROM card_failures WHERE (provider, event_id) IN
		(SELECT provider, event_id FROM card_failures WHERE created_at < ? LIMIT ?)`, before)
	return addresses + cards, err
}

func (s *DepositFailures) purge(ctx context.Context, statement string, before time.Time) (int, error) {
	purged := 0
	for {
		removed := s.db.Writer().WithContext(ctx).Exec(statement, momentOf(before), purgeBatch)
		purged += int(removed.RowsAffected)
		if removed.Error != nil || removed.RowsAffected < purgeBatch {
			return purged, toErrs("purge origins", removed.Error)
		}
	}
}

// The failures of a user, and of an address: payments that were declined, and attempts at payments
// that are still open. One that was given up, or that nobody came to pay, says nothing of cards. Of
// the user's cards, the one that failed most often counts, for whomever it did.
const (
	userFailed = `SELECT
	(SELECT COUNT(*) FROM transactions t WHERE t.account_id IN (SELECT id FROM accounts WHERE user_id = @user AND kind = 'user')
		AND t.type = 'deposit' AND t.status = 'failed' AND t.updated_at > @since AND t.failure_code NOT IN ('canceled', 'expired')) +
	(SELECT COUNT(*) FROM inbox i JOIN transactions t ON t.id = i.transaction_id
		WHERE i.kind = 'payment.attempt_failed' AND i.received_at > @since AND t.user_id = @user)`
	addressFailed = `SELECT
	(SELECT COUNT(*) FROM deposit_origins o JOIN transactions t ON t.id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND t.status = 'failed' AND t.failure_code NOT IN ('canceled', 'expired')) +
	(SELECT COUNT(*) FROM deposit_origins o JOIN inbox i ON i.transaction_id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND i.kind = 'payment.attempt_failed')`
	cardFailed = `SELECT COALESCE(MAX(n), 0) FROM (SELECT COUNT(*) AS n FROM card_failures f
		WHERE f.created_at > @since AND f.card IN (SELECT card FROM card_failures WHERE user_id = @user AND created_at > @since)
		GROUP BY f.provider, f.card) AS cards`
	userCompleted = `SELECT COUNT(*) FROM transactions t
		WHERE t.account_id IN (SELECT id FROM accounts WHERE user_id = @user AND kind = 'user')
		AND t.type = 'deposit' AND t.status = 'completed' AND t.created_at > @since`
	addressCompleted = `SELECT COUNT(*) FROM deposit_origins o JOIN transactions t ON t.id = o.transaction_id
		WHERE o.address = @address AND o.created_at > @since AND t.status = 'completed'`
)

// CountFailed implements account.DepositFailures.
func (s *DepositFailures) CountFailed(ctx context.Context, userID uuid.UUID, address string, since time.Time) (count account.DepositCount, err error) {
	about := counting(userID, address, since)
	err = errors.Join(s.count(ctx, userFailed, about, &count.OfUser),
		s.count(ctx, addressFailed, about, &count.FromAddress), s.count(ctx, cardFailed, about, &count.OfCard))
	return count, err
}

// CountCompleted implements account.DepositFailures.
func (s *DepositFailures) CountCompleted(ctx context.Context, userID uuid.UUID, address string, since time.Time) (count account.DepositCount, err error) {
	about := counting(userID, address, since)
	err = errors.Join(s.count(ctx, userCompleted, about, &count.OfUser),
		s.count(ctx, addressCompleted, about, &count.FromAddress))
	return count, err
}

func counting(userID uuid.UUID, address string, since time.Time) []any {
	return []any{sql.Named("user", userID), sql.Named("address", address), sql.Named("since", momentOf(since))}
}

func (s *DepositFailures) count(ctx context.Context, query string, about []any, into *int) error {
	return toErrs("count deposits", s.db.Reader().WithContext(ctx).Raw(query, about...).Row().Scan(into))
}
