package database

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/mail"
	"florin/domain/notification"
	"florin/domain/user"
)

// DeadLetters implements account.DeadLetters and account.RedrivenEvents.
type DeadLetters struct {
	db  *DB
	now account.Clock
}

var (
	_ account.DeadLetters    = (*DeadLetters)(nil)
	_ account.RedrivenEvents = (*DeadLetters)(nil)
)

// NewDeadLetters returns the dead letters of an open, migrated database.
func NewDeadLetters(db *DB, now account.Clock) *DeadLetters { return &DeadLetters{db: db, now: now} }

// settling is how a source takes what is dead back, and how it gives it up, in the commit that settles the letter: errs.Conflict
// where it is not dead any more.
type settling struct{ redrive, discard settle }

type settle func(tx *gorm.DB, sourceID uuid.UUID, now time.Time) error

// oneRow runs a statement that is bound to the time and to the SourceID and changes exactly one row.
func oneRow(statement string) settle {
	return func(tx *gorm.DB, sourceID uuid.UUID, now time.Time) error {
		moved := tx.Exec(statement, now, sourceID)
		if moved.Error == nil && moved.RowsAffected != 1 {
			return errs.New(errs.Conflict, "not_dead", "What this dead letter is about is not dead any more.")
		}
		return moved.Error
	}
}

// settlings are by source and name; a name that is not there falls back on the source's own, under "". Who adds a channel
// of deliveries adds its line here. A subscriber's event has no row but the letter itself.
var settlings = map[account.DeadLetterSource]map[string]settling{
	account.DeadInbox: {"": {
		// The fence rises, so that a worker which still holds the row from before writes to none.
		redrive: oneRow(`UPDATE inbox SET status = 'received', reason = '', tries = 0, fence = fence + 1, next_attempt_at = ?, processed_at = NULL
			WHERE id = ? AND status = 'dead'`),
		discard: oneRow(`UPDATE inbox SET status = 'discarded', reason = 'discarded by an operator', fence = fence + 1, processed_at = ?
			WHERE id = ? AND status = 'dead'`),
	}},
	account.DeadDelivery: {
		mail.Channel: {
			redrive: oneRow(`UPDATE mails SET status = 'pending', tries = 0, fence = fence + 1, next_attempt_at = ?, finished_at = NULL
				WHERE id = ? AND status = 'dead'`),
			discard: oneRow(`UPDATE mails SET status = 'discarded', fence = fence + 1, finished_at = ? WHERE id = ? AND status = 'dead'`),
		},
		notification.Channel: {
			redrive: redriveDelivery,
			// A webhook that is dead stays so: its owner may still ask for it again.
			discard: func(*gorm.DB, uuid.UUID, time.Time) error { return nil },
		},
	},
}

// AddDeadLetter implements account.DeadLetters.
func (d *DeadLetters) AddDeadLetter(ctx context.Context, letter account.DeadLetter) (added bool, err error) {
	err = d.db.inTx(ctx, func(tx *gorm.DB) error {
		added, err = d.db.insertDeadLetter(tx, letter)
		return err
	})
	return added, toErrs("add dead letter", err)
}

// insertDeadLetter is for stores that write one in the commit of what it is about.
func (db *DB) insertDeadLetter(tx *gorm.DB, letter account.DeadLetter) (added bool, err error) {
	row := deadLetterToRow(letter)
	if row.Payload, err = db.seal(row.Payload, aboutLetter(row.ID)); err != nil {
		return false, err
	}
	inserted := tx.Clauses(oneOpen).Create(&row)
	return inserted.RowsAffected == 1, inserted.Error
}

// oneOpen leaves the first dead letter of a source as it is while it is open.
var oneOpen = clause.OnConflict{DoNothing: true, Columns: []clause.Column{{Name: "source"}, {Name: "source_name"}, {Name: "source_id"}},
	TargetWhere: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "status = 'open'"}}}}

// FindDeadLetters implements account.DeadLetters.
func (d *DeadLetters) FindDeadLetters(ctx context.Context, filter account.DeadLetterFilter, page account.Page) ([]account.DeadLetter, error) {
	query := narrowed(d.db.Reader().WithContext(ctx),
		map[string]string{"source": string(filter.Source), "source_name": filter.SourceName, "status": string(filter.Status)}, filter.TransactionID)
	var rows []deadLetterRow
	if err := paged(query, page).Find(&rows).Error; err != nil {
		return nil, toErrs("find dead letters", err)
	}
	list := make([]account.DeadLetter, len(rows))
	for i, r := range rows {
		r.Payload = "" // a list shows none
		list[i] = r.toDeadLetter()
	}
	return list, nil
}

// FindDeadLetter implements account.DeadLetters.
func (d *DeadLetters) FindDeadLetter(ctx context.Context, id uuid.UUID) (account.DeadLetter, error) {
	var row deadLetterRow
	if err := d.db.Reader().WithContext(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return account.DeadLetter{}, found("find dead letter", "dead letter", err)
	}
	letter, err := d.db.letterOf(row)
	return letter, toErrs("find dead letter", err)
}

// CountDeadLetters implements account.DeadLetters.
func (d *DeadLetters) CountDeadLetters(ctx context.Context) ([]account.DeadLetterCount, error) {
	var rows []struct {
		Source, SourceName string
		Open               int64
		Oldest             moment
	}
	err := d.db.Reader().WithContext(ctx).Raw(`SELECT source, source_name, COUNT(*) AS open, MIN(created_at) AS oldest
		FROM dead_letters WHERE status = 'open' GROUP BY source, source_name ORDER BY source, source_name`).Scan(&rows).Error
	if err != nil {
		return nil, toErrs("count dead letters", err)
	}
	counts := make([]account.DeadLetterCount, len(rows))
	for i, r := range rows {
		counts[i] = account.DeadLetterCount{Source: account.DeadLetterSource(r.Source), SourceName: r.SourceName, Open: r.Open, Oldest: r.Oldest.at}
	}
	return counts, nil
}

// Redrive implements account.DeadLetters. What is redriven has its effect once, because its row is the same one.
func (d *DeadLetters) Redrive(ctx context.Context, id uuid.UUID, by account.Operator) error {
	return d.settleOne(ctx, id, by, account.DeadLetterRedriven, func(s settling) settle { return s.redrive })
}

// Discard implements account.DeadLetters.
func (d *DeadLetters) Discard(ctx context.Context, id uuid.UUID, by account.Operator) error {
	return d.settleOne(ctx, id, by, account.DeadLetterDiscarded, func(s settling) settle { return s.discard })
}

func (d *DeadLetters) settleOne(ctx context.Context, id uuid.UUID, by account.Operator, status account.DeadLetterStatus, of func(settling) settle) error {
	if err := by.CheckReason(); err != nil {
		return err
	}
	auditID, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := d.now().UTC().Truncate(time.Microsecond)
	err = d.db.inTx(ctx, func(tx *gorm.DB) error {
		settled := tx.Exec(`UPDATE dead_letters SET status = ?, settled_at = ?, settled_by = ?, settled_why = ?
			WHERE id = ? AND status = 'open'`, string(status), now, by.Name, by.Reason, id)
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
		if err := moveSource(tx, row.toDeadLetter(), of, now); err != nil {
			return err
		}
		return appendAudit(tx, user.Audit{ID: auditID, Actor: by.Name, Action: "dead_letter." + string(status), Subject: id.String(),
			Reason: by.Reason, Address: by.Address, Request: by.Request, At: now})
	})
	return toErrs("settle dead letter", err)
}

// moveSource settles what the letter is about.
func moveSource(tx *gorm.DB, letter account.DeadLetter, of func(settling) settle, now time.Time) error {
	if letter.Source == account.DeadSubscriber {
		if letter.Status == account.DeadLetterDiscarded {
			return nil
		}
		return tx.Exec("UPDATE dead_letters SET next_attempt_at = ?, fence = fence + 1 WHERE id = ?", now, letter.ID).Error
	}
	source, known := settlings[letter.Source][letter.SourceName]
	if !known {
		source, known = settlings[letter.Source][""]
	}
	if !known {
		return errs.New(errs.Conflict, "not_dead", "Nothing here takes back what this dead letter is about.")
	}
	return of(source)(tx, letter.SourceID, now)
}
