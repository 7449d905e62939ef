package database

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/errs"
	"florin/domain/mail"
	"florin/domain/user"
)

var _ mail.NoticeStore = (*Mails)(nil)

// noticeRow is a row of notices.
type noticeRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	UserID        uuid.UUID `gorm:"column:user_id"`
	Kind          string
	Address       string
	Status        string
	Tries         int
	Fence         int64
	NextAttemptAt moment `gorm:"column:next_attempt_at"`
	Created       moment `gorm:"column:created_at"`
}

func (noticeRow) TableName() string { return "notices" }

// addNotices stores notices of one user.
func addNotices(tx *gorm.DB, notices []user.Notice) error {
	if len(notices) == 0 {
		return nil
	}
	rows := make([]noticeRow, len(notices))
	for i, n := range notices {
		rows[i] = noticeRow{ID: n.ID, UserID: n.UserID, Kind: string(n.Kind), Address: n.Address,
			Status: "pending", NextAttemptAt: momentOf(n.CreatedAt), Created: momentOf(n.CreatedAt)}
	}
	var recent int64
	since := momentOf(notices[0].CreatedAt.Add(-user.NoticesWithin))
	err := tx.Model(&noticeRow{}).
		Where("user_id = ? AND created_at > ?", notices[0].UserID, since).Count(&recent).Error
	if err != nil {
		return err
	}
	if int(recent)+len(notices) > user.MaxNotices {
		return &errs.Error{Kind: errs.Limited, Code: "too_many_changes", RetryAfter: user.NoticesWithin,
			Message: "the email or the password was changed too often"}
	}
	return tx.Create(&rows).Error
}

// ClaimNotices implements mail.NoticeStore.
func (s *Mails) ClaimNotices(ctx context.Context, now time.Time, limit int,
	until func(tries int) time.Time) ([]user.Notice, error) {
	rows, err := claim(ctx, s.db, "notices", now, limit, func(plan *plan, row *noticeRow) {
		row.NextAttemptAt = plan.add(row.ID, until(row.Tries))
		row.Tries, row.Fence = row.Tries+1, row.Fence+1
	})
	if err != nil {
		return nil, err
	}
	claimed := make([]user.Notice, len(rows))
	for i, r := range rows {
		claimed[i] = user.Notice{ID: r.ID, UserID: r.UserID, Kind: user.NoticeKind(r.Kind),
			Address: r.Address, CreatedAt: r.Created.at, Tries: r.Tries, Fence: r.Fence}
	}
	return claimed, nil
}

// FinishNotice implements mail.NoticeStore.
func (s *Mails) FinishNotice(ctx context.Context, n user.Notice, lastError string) error {
	status := "sent"
	if lastError != "" {
		status = "dead"
	}
	err := s.db.Writer().WithContext(ctx).Exec(`UPDATE notices SET status = ?, last_error = ?,
		address = '', next_attempt_at = NULL, finished_at = ?
		WHERE id = ? AND fence = ? AND status = 'pending'`,
		status, lastError, momentOf(s.now()), n.ID, n.Fence).Error
	return toErrs("finish notice", err)
}
