package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/mail"
	"florin/domain/money"
)

// Mails implements mail.Store.
type Mails struct {
	db  *DB
	now account.Clock
}

var _ mail.Store = (*Mails)(nil)

// NewMails returns the mails of an open, migrated database.
func NewMails(db *DB, now account.Clock) *Mails { return &Mails{db: db, now: now} }

// mailRow is a row of mails.
type mailRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	EventID       uuid.UUID `gorm:"column:event_id"`
	Channel       string
	UserID        uuid.UUID `gorm:"column:user_id"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	Kind          string
	Status        string
	Tries         int
	Fence         int64
	NextAttemptAt moment `gorm:"column:next_attempt_at"`
	Created       moment `gorm:"column:created_at"`
}

func (mailRow) TableName() string { return "mails" }

// AddMail implements mail.Store.
func (s *Mails) AddMail(ctx context.Context, m mail.Mail) error {
	row := mailRow{ID: m.ID, EventID: m.EventID, Channel: mail.Channel, UserID: m.UserID, TransactionID: m.TransactionID, Kind: string(m.Kind),
		Status: "pending", NextAttemptAt: momentOf(m.CreatedAt), Created: momentOf(m.CreatedAt)}
	once := clause.OnConflict{DoNothing: true, Columns: []clause.Column{{Name: "event_id"}, {Name: "channel"}}}
	return toErrs("add mail", s.db.Writer().WithContext(ctx).Clauses(once).Create(&row).Error)
}

// ClaimMails implements mail.Store.
func (s *Mails) ClaimMails(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]mail.Mail, error) {
	rows, err := claim(ctx, s.db, "mails", now, limit, func(plan *plan, row *mailRow) {
		row.NextAttemptAt = plan.add(row.ID, until(row.Tries))
		row.Tries, row.Fence = row.Tries+1, row.Fence+1
	})
	if err != nil {
		return nil, err
	}
	claimed := make([]mail.Mail, len(rows))
	for i, r := range rows {
		claimed[i] = mail.Mail{ID: r.ID, EventID: r.EventID, UserID: r.UserID, TransactionID: r.TransactionID, Kind: mail.Kind(r.Kind),
			Tries: r.Tries, Fence: r.Fence, CreatedAt: r.Created.at}
	}
	return claimed, nil
}

// FindContent implements mail.Store.
func (s *Mails) FindContent(ctx context.Context, m mail.Mail) (mail.Content, bool, error) {
	var row struct {
		Email, Username, Type, Currency string
		Amount                          int64
		FailureCode, FailureMessage     nullText
	}
	err := s.db.Reader().WithContext(ctx).Raw(`SELECT u.email, u.username, t.type, t.amount, t.currency, t.failure_code, t.failure_message
		FROM users u JOIN transactions t ON t.id = ? WHERE u.id = ? AND u.deleted_at IS NULL AND u.email_notifications = 1`,
		m.TransactionID, m.UserID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return mail.Content{}, false, nil
	}
	if err != nil {
		return mail.Content{}, false, toErrs("find content of mail", err)
	}
	cur, err := currency.Parse(row.Currency)
	if err != nil {
		return mail.Content{}, false, fmt.Errorf("currency of transaction %s: %w", m.TransactionID, err)
	}
	content := mail.Content{Address: row.Email, Username: row.Username, Type: account.Type(row.Type), Amount: money.New(row.Amount, cur), At: m.CreatedAt}
	if row.FailureCode != "" {
		content.Failure = &account.Failure{Code: string(row.FailureCode), Message: string(row.FailureMessage)}
	}
	return content, true, nil
}

// FinishMail implements mail.Store.
func (s *Mails) FinishMail(ctx context.Context, m mail.Mail, end mail.Status) error {
	_, err := endMail(s.db.Writer().WithContext(ctx), m, string(end), "", s.now())
	return toErrs("finish mail", err)
}

// BuryMail implements mail.Store.
func (s *Mails) BuryMail(ctx context.Context, m mail.Mail, letter account.DeadLetter) (buried bool, err error) {
	err = s.db.inTx(ctx, func(tx *gorm.DB) error {
		if buried, err = endMail(tx, m, "dead", letter.LastError, s.now()); err != nil || !buried {
			return err
		}
		_, err = s.db.insertDeadLetter(tx, letter)
		return err
	})
	return buried, toErrs("bury mail", err)
}

func endMail(tx *gorm.DB, m mail.Mail, status, lastError string, at time.Time) (bool, error) {
	ended := tx.Exec(`UPDATE mails SET status = ?, last_error = ?, next_attempt_at = NULL, finished_at = ?
		WHERE id = ? AND fence = ? AND status = 'pending'`, status, lastError, momentOf(at), m.ID, m.Fence)
	return ended.RowsAffected == 1, ended.Error
}
