package database

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
)

// claimed locks what is claimed and passes over what another server is claiming or moving; it disappears on SQLite.
var claimed = clause.Locking{Strength: "NO KEY UPDATE", Options: "SKIP LOCKED"}

// Due implements account.Due. Each claim is one short transaction of its own.
type Due struct{ db *DB }

// NewDue returns the open work of a database.
func NewDue(db *DB) *Due { return &Due{db: db} }

// ClaimTransactions implements account.Due.
func (d *Due) ClaimTransactions(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]*account.Transaction, error) {
	rows, err := claim(ctx, d.db, "transactions", now, limit, func(plan *plan, row *transactionRow) {
		row.NextAttemptAt = plan.add(row.ID, until(row.Tries))
		row.Tries, row.Fence = row.Tries+1, row.Fence+1
	})
	if err != nil {
		return nil, err
	}
	return d.db.transactionsOf(rows)
}

// ClaimInbox implements account.Due.
func (d *Due) ClaimInbox(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]*account.InboxRecord, error) {
	rows, err := claim(ctx, d.db, "inbox", now, limit, func(plan *plan, row *inboxRow) {
		row.NextAttemptAt = plan.add(row.ID, until(row.Tries))
		row.Tries, row.Fence = row.Tries+1, row.Fence+1
	})
	if err != nil {
		return nil, err
	}
	return convertAll(rows, d.db.recordOf)
}

// claim takes the rows of a table that are due, each as take plans it.
func claim[R any](ctx context.Context, db *DB, table string, now time.Time, limit int, take func(*plan, *R)) ([]R, error) {
	var rows []R
	err := db.inTx(ctx, func(tx *gorm.DB) error {
		if err := due(tx, now, limit).Find(&rows).Error; err != nil {
			return err
		}
		plan := newPlan()
		for i := range rows {
			take(plan, &rows[i])
		}
		return plan.claim(tx, table)
	})
	return rows, toErrs("claim "+table, err)
}

func due(tx *gorm.DB, now time.Time, limit int) *gorm.DB {
	return tx.Clauses(claimed).Where("next_attempt_at IS NOT NULL AND next_attempt_at <= ?", momentOf(now)).
		Order("next_attempt_at").Limit(limit)
}

// plan collects which rows rest until when, so that those with the same time are claimed by one statement.
type plan struct {
	times []moment
	ids   map[moment][]uuid.UUID
}

func newPlan() *plan { return &plan{ids: map[moment][]uuid.UUID{}} }

func (p *plan) add(id uuid.UUID, until time.Time) moment {
	at := momentOf(until)
	if len(p.ids[at]) == 0 {
		p.times = append(p.times, at)
	}
	p.ids[at] = append(p.ids[at], id)
	return at
}

func (p *plan) claim(tx *gorm.DB, table string) error {
	for _, at := range p.times {
		statement := tx.Exec("UPDATE "+table+" SET next_attempt_at = ?, tries = tries + 1, fence = fence + 1 WHERE id IN ?", at, p.ids[at])
		if statement.Error != nil {
			return statement.Error
		}
		if int(statement.RowsAffected) != len(p.ids[at]) {
			return fmt.Errorf("claimed %d rows of %s, locked %d: %w", statement.RowsAffected, table, len(p.ids[at]), errLost)
		}
	}
	return nil
}
