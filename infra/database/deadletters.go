package database

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/user"
)

// deadLetterPage bounds one look at the dead letters: more than this is a fault to mend, not a list to read.
const deadLetterPage = 1000

// DeadLetters is what an operator does with events that could not be worked off.
type DeadLetters struct {
	db  *DB
	now account.Clock
}

// Operator is who settles a dead letter, and why: the audit keeps both.
type Operator struct{ Name, Reason string }

// NewDeadLetters returns the dead letters of an open, migrated database.
func NewDeadLetters(db *DB, now account.Clock) *DeadLetters { return &DeadLetters{db: db, now: now} }

// List returns the open dead letters, or with settled all of them, oldest first and at most 1000.
func (d *DeadLetters) List(ctx context.Context, settled bool) ([]account.DeadLetter, error) {
	query := d.db.Reader().WithContext(ctx).Order("created_at, id").Limit(deadLetterPage)
	if !settled {
		query = query.Where("status = 'open'")
	}
	var rows []deadLetterRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, toErrs("list dead letters", err)
	}
	list := make([]account.DeadLetter, len(rows))
	for i, r := range rows {
		list[i] = r.toDeadLetter()
	}
	return list, nil
}

// Find returns one dead letter. errs.NotFound.
func (d *DeadLetters) Find(ctx context.Context, id uuid.UUID) (account.DeadLetter, error) {
	var row deadLetterRow
	err := d.db.Reader().WithContext(ctx).Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return account.DeadLetter{}, errs.Missing("dead letter")
	}
	return row.toDeadLetter(), toErrs("find dead letter", err)
}

// Redrive makes the event due again, with all its tries, for whichever server takes it up. It has its effect once, because
// the inbox row is the same one. errs.NotFound; errs.Conflict "already_settled"; errs.Refused without a reason.
func (d *DeadLetters) Redrive(ctx context.Context, id uuid.UUID, by Operator) error {
	// The fence rises, so that a worker which still holds the row from before writes to none.
	return d.settle(ctx, id, by, "redriven", `UPDATE inbox SET status = 'received', reason = '', tries = 0, fence = fence + 1,
		next_attempt_at = ?, processed_at = NULL WHERE id = ? AND status = 'dead'`)
}

// Discard gives the event up. Errors as Redrive.
func (d *DeadLetters) Discard(ctx context.Context, id uuid.UUID, by Operator) error {
	return d.settle(ctx, id, by, "discarded", `UPDATE inbox SET status = 'discarded', reason = 'discarded by an operator',
		fence = fence + 1, processed_at = ? WHERE id = ? AND status = 'dead'`)
}

func (d *DeadLetters) settle(ctx context.Context, id uuid.UUID, by Operator, status, moveEvent string) error {
	if strings.TrimSpace(by.Reason) == "" {
		return errs.InField("reason", "reason_required", "Say why, for the audit.")
	}
	auditID, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := d.now().UTC().Truncate(time.Microsecond)
	err = d.db.inTx(ctx, func(tx *gorm.DB) error {
		settled := tx.Exec("UPDATE dead_letters SET status = ?, settled_at = ? WHERE id = ? AND status = 'open'", status, now, id)
		if settled.Error != nil {
			return settled.Error
		}
		var row deadLetterRow
		err := tx.Where("id = ?", id).Take(&row).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			return errs.Missing("dead letter")
		case err != nil:
			return err
		case settled.RowsAffected == 0:
			return errs.New(errs.Conflict, "already_settled", "The dead letter was "+row.Status+" before.")
		}
		moved := tx.Exec(moveEvent, now, row.SourceID)
		if moved.Error != nil {
			return moved.Error
		}
		if moved.RowsAffected != 1 {
			return errs.New(errs.Conflict, "not_dead", "The event of this dead letter is not dead any more.")
		}
		return appendAudit(tx, user.Audit{ID: auditID, Actor: by.Name, Action: "dead_letter." + status, Subject: id.String(),
			Reason: by.Reason, At: now})
	})
	return toErrs("settle dead letter", err)
}

func (r deadLetterRow) toDeadLetter() account.DeadLetter {
	return account.DeadLetter{ID: r.ID, Source: r.Source, SourceID: r.SourceID, Reason: r.Reason, LastError: r.LastError, Tries: r.Tries,
		Payload: r.Payload, Status: r.Status, CreatedAt: r.Created.at, SettledAt: r.Settled.at}
}
