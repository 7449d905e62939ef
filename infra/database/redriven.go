package database

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
)

// ClaimRedriven implements account.RedrivenEvents.
func (d *DeadLetters) ClaimRedriven(ctx context.Context, subscribers []string, now, until time.Time, limit int) ([]account.RedrivenEvent, error) {
	if len(subscribers) == 0 {
		return nil, nil
	}
	var rows []deadLetterRow
	err := d.db.inTx(ctx, func(tx *gorm.DB) error {
		// Ids grow with time, and an event is set aside after those of its transaction before it: so the lower id is the
		// earlier event.
		err := due(tx, now, limit).Where(`source = 'subscriber' AND source_name IN ? AND NOT EXISTS (SELECT 1 FROM dead_letters e
			WHERE e.source = 'subscriber' AND e.source_name = dead_letters.source_name AND e.transaction_id = dead_letters.transaction_id
				AND e.id < dead_letters.id AND (e.status = 'open' OR e.next_attempt_at IS NOT NULL))`, subscribers).Find(&rows).Error
		if err != nil {
			return err
		}
		plan := newPlan()
		for i := range rows {
			rows[i].NextAttemptAt = plan.add(rows[i].ID, until)
			rows[i].Tries, rows[i].Fence = rows[i].Tries+1, rows[i].Fence+1
		}
		return plan.claim(tx, "dead_letters")
	})
	if err != nil {
		return nil, toErrs("claim redriven events", err)
	}
	claimed := make([]account.RedrivenEvent, len(rows))
	for i, r := range rows {
		letter, err := d.db.letterOf(r)
		if err != nil {
			return nil, toErrs("claim redriven events", err)
		}
		claimed[i] = account.RedrivenEvent{DeadLetter: letter, Fence: r.Fence}
	}
	return claimed, nil
}

// FinishRedriven implements account.RedrivenEvents.
func (d *DeadLetters) FinishRedriven(ctx context.Context, e account.RedrivenEvent) error {
	err := d.db.Writer().WithContext(ctx).Exec("UPDATE dead_letters SET next_attempt_at = NULL WHERE id = ? AND fence = ?", e.ID, e.Fence).Error
	return toErrs("finish redriven event", err)
}

// ReopenRedriven implements account.RedrivenEvents.
func (d *DeadLetters) ReopenRedriven(ctx context.Context, e account.RedrivenEvent, lastError string) error {
	err := d.db.Writer().WithContext(ctx).Exec(`UPDATE dead_letters SET status = 'open', last_error = ?, next_attempt_at = NULL,
		settled_at = NULL, settled_by = '', settled_why = '' WHERE id = ? AND fence = ? AND status = 'redriven'`, lastError, e.ID, e.Fence).Error
	if errors.Is(classify(err), errUnique) {
		// The event was set aside a second time meanwhile: that letter stands for both.
		return d.FinishRedriven(ctx, e)
	}
	return toErrs("reopen redriven event", err)
}

// HeldTransactions implements account.RedrivenEvents.
func (d *DeadLetters) HeldTransactions(ctx context.Context, subscriber string) ([]uuid.UUID, error) {
	var held []uuid.UUID
	err := d.db.Reader().WithContext(ctx).Raw(`SELECT DISTINCT transaction_id FROM dead_letters WHERE source = 'subscriber' AND source_name = ?
		AND transaction_id IS NOT NULL AND (status = 'open' OR next_attempt_at IS NOT NULL)`, subscriber).Scan(&held).Error
	return held, toErrs("read held transactions", err)
}
