package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
)

// Channels of PostgreSQL's NOTIFY. A notification only says "look now"; polling finds what one missed.
const (
	logChannel   = "florin_log"   // positions were given; the payload is the last one, and the name of the log that gave it
	relayChannel = "florin_relay" // events were committed where no relay works
)

// Log is the payment events as the relay and its subscribers see them: what waits for a position, and what has one.
type Log struct {
	db  *DB
	now account.Clock
	// name tells this process's notifications from those of others.
	name string
}

// NewLog returns the log of an open, migrated database.
func NewLog(db *DB, now account.Clock) *Log { return &Log{db: db, now: now, name: uuid.NewString()} }

// Waiting returns up to limit committed batches without a position, by id. A batch's id is drawn under the locks of its
// commit, so the order of the ids is that of Seq within a transaction; and whoever sees a batch sees those that its commit
// waited for.
func (l *Log) Waiting(ctx context.Context, limit int) (waiting []eventbus.WaitingBatch, err error) {
	err = l.db.Reader().WithContext(ctx).Raw(
		"SELECT id, events FROM event_batches WHERE position IS NULL ORDER BY id LIMIT ?", limit).Scan(&waiting).Error
	return waiting, toErrs("read batches without position", err)
}

// AssignPositions gives the batches the next positions in the order given, in one commit: all or none. It returns the last of
// them. eventbus.ErrFenced where a relay with a higher fence has worked, eventbus.ErrStale where one of them has a position already.
// Where the commit's outcome is unknown the error is errs.Unavailable; what still waits is then seen by reading again.
func (l *Log) AssignPositions(ctx context.Context, fence int64, batches []eventbus.WaitingBatch) (last int64, err error) {
	if len(batches) == 0 {
		return 0, nil
	}
	events := eventbus.EventsIn(batches)
	err = l.db.inTx(ctx, func(tx *gorm.DB) error {
		// The head's row lock also makes batches commit in the order of their positions, so that no reader can see a
		// position while a lower one is still to come.
		head := tx.Raw(`UPDATE log_head SET position = position + ?, fence = ? WHERE id = 1 AND fence <= ? RETURNING position`,
			events, fence, fence).Scan(&last)
		if head.Error != nil {
			return head.Error
		}
		if head.RowsAffected == 0 {
			return eventbus.ErrFenced
		}
		if err := l.mark(tx, last-int64(events)+1, batches); err != nil {
			return err
		}
		crashpoint.Hit(crashpoint.RelayPositionsSet)
		return l.notify(tx, logChannel, fmt.Sprint(last, " ", l.name))
	})
	if errors.Is(err, errUnique) {
		err = fmt.Errorf("%w: %w", eventbus.ErrStale, err)
	}
	return last, toErrs("assign positions", err)
}

// mark gives the batches their positions from first on, in a statement that the two databases do not share: a list is a
// single parameter, so that one of any length is one text to parse. Each batch is named by its id; one that has a
// position is left alone.
func (l *Log) mark(tx *gorm.DB, first int64, batches []eventbus.WaitingBatch) error {
	pairs := make([][2]int64, len(batches))
	for i, b := range batches {
		pairs[i] = [2]int64{b.ID, first}
		first += int64(b.Events)
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	statement := `UPDATE event_batches SET position = value ->> 1 FROM json_each(?)
		WHERE event_batches.id = value ->> 0 AND event_batches.position IS NULL`
	if l.db.dialect == Postgres {
		statement = `UPDATE event_batches SET position = CAST(value ->> 1 AS bigint) FROM json_array_elements(CAST(? AS json))
			WHERE event_batches.id = CAST(value ->> 0 AS bigint) AND event_batches.position IS NULL`
	}
	marked := tx.Exec(statement, string(list))
	if marked.Error == nil && marked.RowsAffected != int64(len(batches)) {
		return eventbus.ErrStale
	}
	return marked.Error
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
	// The batch that the position falls into begins at or before it.
	err := l.db.Reader().WithContext(ctx).Raw(`SELECT b.position + e.n - 1 AS position, e.payload
		FROM event_batches b JOIN payment_events e ON e.batch_id = b.id
		WHERE b.position >= COALESCE((SELECT MAX(position) FROM event_batches WHERE position <= ?), 1) AND b.position + e.n - 1 > ?
		ORDER BY b.position, e.n LIMIT ?`, position, position, limit).Scan(&rows).Error
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

// OldestWaiting is when the oldest event of the first batch without a position happened, false where none waits.
func (l *Log) OldestWaiting(ctx context.Context) (time.Time, bool, error) {
	var row struct{ At time.Time }
	err := l.db.Reader().WithContext(ctx).Raw(
		"SELECT at FROM event_batches WHERE position IS NULL ORDER BY id LIMIT 1").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return time.Time{}, false, nil
	}
	return row.At.UTC(), err == nil, toErrs("read oldest event without position", err)
}

// Lags is how far each durable subscriber is behind, by name.
func (l *Log) Lags(ctx context.Context) ([]eventbus.Lag, error) {
	var rows []struct {
		Name   string
		Events int64
		Since  moment
	}
	err := l.db.Reader().WithContext(ctx).Raw(`SELECT s.name, h.position - s.position AS events, CASE WHEN h.position > s.position THEN
			(SELECT b.at FROM event_batches b WHERE b.position <= s.position + 1 ORDER BY b.position DESC LIMIT 1) END AS since
		FROM subscribers s JOIN log_head h ON h.id = 1 ORDER BY s.name`).Scan(&rows).Error
	lags := make([]eventbus.Lag, len(rows))
	for i, row := range rows {
		lags[i] = eventbus.Lag{Name: row.Name, Events: row.Events, Since: row.Since.at}
	}
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
// cursor no longer stands where it did. A database that is killed may forget a move of its last second: what was handled
// then comes again, as after every crash between a handler and its cursor.
func (l *Log) MoveCursor(ctx context.Context, move eventbus.CursorMove) error {
	moved := l.db.Writer().WithContext(ctx).Exec(`UPDATE subscribers SET position = ?, updated_at = ? WHERE name = ? AND position = ?
		AND EXISTS (SELECT 1 FROM leases WHERE leases.name = ? AND leases.fence = ?)`+l.db.unhurried(),
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
