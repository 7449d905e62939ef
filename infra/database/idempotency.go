package database

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// keyRow is a row of idempotency_keys.
type keyRow struct {
	KeyHash        uuid.UUID `gorm:"column:key_hash;primaryKey"`
	UserID         uuid.UUID `gorm:"column:user_id"`
	Fingerprint    string
	ResourceID     uuid.UUID `gorm:"column:resource_id"`
	Fence          int64
	LockedUntil    moment    `gorm:"column:locked_until"`
	ResponseStatus nullCount `gorm:"column:response_status"`
	ResponseBody   nullText  `gorm:"column:response_body"`
	Created        moment    `gorm:"column:created_at"`
	Finished       moment    `gorm:"column:finished_at"`
}

func (keyRow) TableName() string { return "idempotency_keys" }

func keyToRow(r *account.IdempotencyRecord) keyRow {
	row := keyRow{
		KeyHash: r.Hash, UserID: r.UserID, Fingerprint: r.Fingerprint, ResourceID: r.ResourceID, Fence: r.Fence,
		LockedUntil: momentOf(r.LockedUntil), Created: momentOf(r.CreatedAt), Finished: momentOf(r.FinishedAt),
	}
	if r.Answer != nil {
		row.ResponseStatus, row.ResponseBody = nullCount(r.Answer.Status), nullText(r.Answer.Body)
	}
	return row
}

func (r keyRow) toRecord() *account.IdempotencyRecord {
	record := &account.IdempotencyRecord{
		Hash: r.KeyHash, UserID: r.UserID, Fingerprint: r.Fingerprint, ResourceID: r.ResourceID, Fence: r.Fence,
		LockedUntil: r.LockedUntil.at, CreatedAt: r.Created.at, FinishedAt: r.Finished.at,
	}
	if r.ResponseStatus != 0 {
		record.Answer = &account.Answer{Status: int(r.ResponseStatus), Body: []byte(r.ResponseBody)}
	}
	return record
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed.
func (r keyRow) settled(now keyRow) keyRow {
	r.Fence, r.LockedUntil, r.ResponseStatus, r.ResponseBody, r.Finished =
		now.Fence, now.LockedUntil, now.ResponseStatus, now.ResponseBody, now.Finished
	return r
}

// purgeBatch bounds the rows that one statement of PurgeAnswers looks at, so that no lock is held for long.
const purgeBatch = 1000

// PurgeAnswers clears the stored answers of requests that finished before the time, and returns how many. The keys stay, for
// ever: a key is never good for a second payment. It walks once through all keys, in batches of their own transactions, because an
// index by time would cost every payment; it blocks for as long as that takes. errs.Unavailable where the database is down,
// with the number cleared so far.
func (l *Ledger) PurgeAnswers(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for after, done := uuid.Nil, false; !done; {
		last, err := l.keyAfter(ctx, after)
		if err != nil {
			return purged, toErrs("purge answers", err)
		}
		if done = last == uuid.Nil; done {
			last = uuid.Max
		}
		statement := l.db.Writer().WithContext(ctx).Exec(`UPDATE idempotency_keys SET response_status = NULL, response_body = NULL
			WHERE key_hash > ? AND key_hash <= ? AND finished_at IS NOT NULL AND finished_at < ? AND response_status IS NOT NULL`,
			after, last, momentOf(before))
		if statement.Error != nil {
			return purged, toErrs("purge answers", statement.Error)
		}
		purged += int(statement.RowsAffected)
		after = last
		if err := ctx.Err(); err != nil {
			return purged, fmt.Errorf("purge answers: %w", err)
		}
	}
	return purged, nil
}

// keyAfter is the key that is purgeBatch further on, uuid.Nil where there are not so many.
func (l *Ledger) keyAfter(ctx context.Context, after uuid.UUID) (uuid.UUID, error) {
	var next []uuid.UUID
	err := l.db.Reader().WithContext(ctx).Raw(`SELECT key_hash FROM idempotency_keys WHERE key_hash > ? ORDER BY key_hash LIMIT 1 OFFSET ?`,
		after, purgeBatch-1).Scan(&next).Error
	if err != nil || len(next) == 0 {
		return uuid.Nil, err
	}
	return next[0], nil
}
