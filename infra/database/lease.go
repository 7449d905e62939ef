package database

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"florin/domain/account"
)

// Leases are rows that say which server does a work of which there must be one. A lease ends by itself; what its holder
// writes later runs into the fence, which is higher with every new holder.
type Leases struct {
	db  *DB
	now account.Clock
}

// NewLeases returns the leases of an open, migrated database. Servers whose clocks differ hand a lease over too early or
// too late; the fence keeps that harmless.
func NewLeases(db *DB, now account.Clock) *Leases { return &Leases{db: db, now: now} }

// Acquire takes the lease, if it is free or has run out, for as long as ttl, with a fence above every
// earlier one. It answers false where it is held. holder is for people who look at the row.
func (l *Leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (fence int64, ok bool, err error) {
	now := l.now().UTC()
	// Standing by must cost a read only: the upsert locks the row even where its WHERE says no.
	var held struct{ ExpiresAt time.Time }
	err = l.db.Reader().WithContext(ctx).Raw("SELECT expires_at FROM leases WHERE name = ?", name).Take(&held).Error
	if err == nil && held.ExpiresAt.After(now) {
		return 0, false, nil
	}
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, false, toErrs("read lease", err)
	}
	taken := l.db.Writer().WithContext(ctx).Raw(`INSERT INTO leases (name, holder, fence, expires_at) VALUES (?, ?, 1, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at
		WHERE leases.expires_at <= ?
		RETURNING fence`, name, holder, now.Add(ttl), now).Scan(&fence)
	if taken.Error != nil {
		return 0, false, toErrs("acquire lease", taken.Error)
	}
	return fence, taken.RowsAffected == 1, nil
}

// Renew lengthens a lease to ttl from now. It answers false where somebody else has taken it over; one that ran out and that
// nobody took is as good as before.
func (l *Leases) Renew(ctx context.Context, name string, fence int64, ttl time.Duration) (bool, error) {
	renewed := l.db.Writer().WithContext(ctx).Exec("UPDATE leases SET expires_at = ? WHERE name = ? AND fence = ?",
		l.now().UTC().Add(ttl), name, fence)
	return renewed.RowsAffected == 1, toErrs("renew lease", renewed.Error)
}

// Release ends a lease so that another server need not wait for its end. It does nothing where somebody else has it. The end is
// far in the past, so that a clock that is put back afterwards does not find it held.
func (l *Leases) Release(ctx context.Context, name string, fence int64) error {
	err := l.db.Writer().WithContext(ctx).Exec("UPDATE leases SET expires_at = ? WHERE name = ? AND fence = ?",
		time.Unix(0, 0).UTC(), name, fence).Error
	return toErrs("release lease", err)
}
