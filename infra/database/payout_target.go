package database

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/user"
)

// PayoutTargets keeps where users have had money paid out to, as keyed hashes.
type PayoutTargets struct{ db *DB }

// NewPayoutTargets returns the repository on an open, migrated database.
func NewPayoutTargets(db *DB) *PayoutTargets { return &PayoutTargets{db: db} }

type payoutTargetRow struct {
	UserID      uuid.UUID `gorm:"column:user_id;primaryKey"`
	Fingerprint string    `gorm:"primaryKey"`
	FirstUsed   moment    `gorm:"column:first_used_at"`
}

func (payoutTargetRow) TableName() string { return "payout_targets" }

// Use notes that a user has money paid out to a target, and tells them by mail where it is a new
// one. The target has the fingerprints, of one key each; the first is kept. errs.Limited where the
// user was told too often.
func (s *PayoutTargets) Use(ctx context.Context, userID uuid.UUID, fingerprints []string,
	at time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return toErrs("note payout target", s.db.inTx(ctx, func(tx *gorm.DB) error {
		var known int64
		err := tx.Model(&payoutTargetRow{}).
			Where("user_id = ? AND fingerprint IN ?", userID, fingerprints).Count(&known).Error
		if err != nil || known > 0 {
			return err
		}
		row := payoutTargetRow{UserID: userID, Fingerprint: fingerprints[0], FirstUsed: momentOf(at)}
		added := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if added.Error != nil || added.RowsAffected == 0 {
			return added.Error
		}
		owner, err := lockUser(tx, userID)
		if err != nil {
			return err
		}
		return addNotices(tx, []user.Notice{{ID: id, UserID: userID, Kind: user.NoticePayoutTarget,
			Address: owner.Email(), CreatedAt: at}})
	}))
}
