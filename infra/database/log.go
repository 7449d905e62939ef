package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
)

// Channels of PostgreSQL's NOTIFY. A notification only says "look now"; polling finds what one missed.
const (
	logChannel   = "florin_log"   // positions were given; the payload is the last one
	relayChannel = "florin_relay" // events were committed where no relay works
)

// Log is the table payment_events as the relay and its subscribers see it: what waits for a position, and what has one.
type Log struct {
	db  *DB
	now account.Clock
}

// NewLog returns the log of an open, migrated database.
func NewLog(db *DB, now account.Clock) *Log { return &Log{db: db, now: now} }

type waitingRow struct {
	ID             uuid.UUID
	TransactionID  uuid.UUID
	Seq            int
	EarlierWithOne int
}

// Waiting returns up to limit committed events without a position, oldest first.
func (l *Log) Waiting(ctx context.Context, limit int) ([]eventbus.WaitingEvent, error) {
	var rows []waitingRow
	err := l.db.Reader().WithContext(ctx).Raw(`SELECT e.id, e.transaction_id, e.seq,
			(SELECT COUNT(*) FROM payment_events b
			 WHERE b.transaction_id = e.transaction_id AND b.seq < e.seq AND b.position IS NOT NULL) AS earlier_with_one
		FROM payment_events e WHERE e.position IS NULL
		ORDER BY e.at, e.transaction_id, e.seq LIMIT ?`, limit).Scan(&rows).Error
	if err != nil {
		return nil, toErrs("read events without position", err)
	}
	waiting := make([]eventbus.WaitingEvent, len(rows))
	for i, r := range rows {
		waiting[i] = eventbus.WaitingEvent{ID: r.ID, TransactionID: r.TransactionID, Seq: r.Seq, Before: r.EarlierWithOne}
	}
	return waiting, nil
}

// AssignPositions gives the events the next positions in the order given, in one commit: all or none. eventbus.ErrFenced
// where a relay with a higher fence has worked, eventbus.ErrStale where one of the events has a position already.
// Where the commit's outcome is unknown the error is errs.Unavailable; what still waits is then seen by reading again.
func (l *Log) AssignPositions(ctx context.Context, fence int64, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	err := l.db.inTx(ctx, func(tx *gorm.DB) error {
		// The head's row lock also makes batches commit in the order of their positions, so that no reader can see a
		// position while a lower one is still to come.
		var last int64
		head := tx.Raw(`UPDATE log_head SET position = position + ?, fence = ? WHERE id = 1 AND fence <= ? RETURNING position`,
			len(ids), fence, fence).Scan(&last)
		if head.Error != nil {
			return head.Error
		}
		if head.RowsAffected == 0 {
			return eventbus.ErrFenced
		}
		statement, list := l.markByID(ids)
		marked := tx.Exec(statement, last-int64(len(ids)), list)
		if marked.Error != nil {
			return marked.Error
		}
		if marked.RowsAffected != int64(len(ids)) {
			return eventbus.ErrStale
		}
		crashpoint.Hit(crashpoint.RelayPositionsSet)
		return l.notify(tx, logChannel, fmt.Sprint(last))
	})
	if errors.Is(err, errUnique) {
		err = fmt.Errorf("%w: %w", eventbus.ErrStale, err)
	}
	return toErrs("assign positions", err)
}

// markByID is the one statement that the two databases do not share: a list of ids as a single parameter, so that a batch of
// any size is one text to parse. Each event is named by its id; one that has a position is left alone.
func (l *Log) markByID(ids []uuid.UUID) (statement, list string) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	if l.db.dialect == Postgres {
		return `UPDATE payment_events SET position = CAST(? AS bigint) + v.n
			FROM unnest(CAST(? AS uuid[])) WITH ORDINALITY AS v(id, n)
			WHERE payment_events.id = v.id AND payment_events.position IS NULL`, "{" + strings.Join(texts, ",") + "}"
	}
	return `UPDATE payment_events SET position = ? + v.key + 1 FROM json_each(?) AS v
		WHERE payment_events.id = v.value AND payment_events.position IS NULL`, `["` + strings.Join(texts, `","`) + `"]`
}

// Head is the last position given, 0 before the first.
func (l *Log) Head(ctx context.Context) (int64, error) {
	var position int64
	err := l.db.Reader().WithContext(ctx).Raw("SELECT position FROM log_head WHERE id = 1").Scan(&position).Error
	return position, toErrs("read head of the log", err)
}

// ReadAfter returns up to limit events with a higher position, in order.
func (l *Log) ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error) {
	var rows []struct {
		Position int64
		Payload  string
	}
	err := l.db.Reader().WithContext(ctx).Raw(
		"SELECT position, payload FROM payment_events WHERE position > ? ORDER BY position LIMIT ?", position, limit).Scan(&rows).Error
	if err != nil {
		return nil, toErrs("read log", err)
	}
	events := make([]eventbus.PositionedEvent, len(rows))
	for i, r := range rows {
		events[i].Position = r.Position
		if err := json.Unmarshal([]byte(r.Payload), &events[i].Event); err != nil {
			return nil, fmt.Errorf("read log: event at position %d: %w", r.Position, err)
		}
	}
	return events, nil
}

// OldestWaiting is when the oldest event without a position happened, false where none waits.
func (l *Log) OldestWaiting(ctx context.Context) (time.Time, bool, error) {
	var row struct{ At time.Time }
	err := l.db.Reader().WithContext(ctx).Raw(
		"SELECT at FROM payment_events WHERE position IS NULL ORDER BY at LIMIT 1").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return time.Time{}, false, nil
	}
	return row.At.UTC(), err == nil, toErrs("read oldest event without position", err)
}

// Lags is how far each durable subscriber is behind, by name.
func (l *Log) Lags(ctx context.Context) ([]eventbus.Lag, error) {
	var lags []eventbus.Lag
	err := l.db.Reader().WithContext(ctx).Raw(`SELECT s.name, h.position - s.position AS events
		FROM subscribers s JOIN log_head h ON h.id = 1 ORDER BY s.name`).Scan(&lags).Error
	return lags, toErrs("read subscriber lags", err)
}

// OpenCursor returns where the durable subscriber stands. One that is new stands at start.
func (l *Log) OpenCursor(ctx context.Context, name string, start int64) (position int64, err error) {
	const read = "SELECT position FROM subscribers WHERE name = ?"
	found := l.db.Reader().WithContext(ctx).Raw(read, name).Scan(&position)
	if found.Error != nil || found.RowsAffected == 1 {
		return position, toErrs("read cursor", found.Error)
	}
	err = l.db.inTx(ctx, func(tx *gorm.DB) error {
		err := tx.Exec("INSERT INTO subscribers (name, position, updated_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
			name, start, l.now().UTC()).Error
		if err != nil {
			return err
		}
		return tx.Raw(read, name).Scan(&position).Error
	})
	return position, toErrs("create cursor", err)
}

// MoveCursor stores how far a subscriber has come. eventbus.ErrFenced where its lease is somebody else's by now or the
// cursor no longer stands where it did.
func (l *Log) MoveCursor(ctx context.Context, move eventbus.CursorMove) error {
	moved := l.db.Writer().WithContext(ctx).Exec(`UPDATE subscribers SET position = ?, updated_at = ? WHERE name = ? AND position = ?
		AND EXISTS (SELECT 1 FROM leases WHERE leases.name = ? AND leases.fence = ?)`,
		move.To, l.now().UTC(), move.Name, move.From, move.Lease, move.Fence)
	if moved.Error == nil && moved.RowsAffected == 0 {
		return fmt.Errorf("move cursor of %s: %w", move.Name, eventbus.ErrFenced)
	}
	return toErrs("move cursor", moved.Error)
}

// NudgeRelay tells the relays of other servers that events wait. It is cheap but not free (PostgreSQL puts commits that
// notify one behind the other), so it is for a server that does not relay itself, after its commit and never inside.
func (l *Log) NudgeRelay(ctx context.Context) error {
	return toErrs("nudge relay", l.notify(l.db.Writer().WithContext(ctx), relayChannel, ""))
}

// notify does nothing on SQLite: there, all who could listen are in this process.
func (l *Log) notify(tx *gorm.DB, channel, payload string) error {
	if l.db.dialect != Postgres {
		return nil
	}
	return tx.Exec("SELECT pg_notify(?, ?)", channel, payload).Error
}
