package database_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

var logNow = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func atLogNow() time.Time { return logNow }

func eventIDs(events []account.PaymentEvent) []uuid.UUID {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = uuid.MustParse(e.EventID)
	}
	return ids
}

func TestLogGivesPositionsInTheOrderAsked(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		log := database.NewLog(db, atLogNow)
		var events []account.PaymentEvent
		for range 250 {
			events = append(events, eventbustest.Events(2)...)
		}
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
		waiting, err := log.Waiting(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, waiting, 10)
		require.NoError(t, log.AssignPositions(t.Context(), 7, eventIDs(events)))
		databasetest.CheckLog(t, db)
		got, err := log.ReadAfter(t.Context(), 123, 2)
		require.NoError(t, err)
		assert.Equal(t, []eventbus.PositionedEvent{{Position: 124, Event: events[123]}, {Position: 125, Event: events[124]}}, got)
		require.ErrorIs(t, log.AssignPositions(t.Context(), 6, eventIDs(events[:1])), eventbus.ErrFenced)
		require.NoError(t, log.AssignPositions(t.Context(), 1, nil))
	})
}

func TestLogTellsTheAgeOfWhatWaits(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		log := database.NewLog(db, atLogNow)
		_, waits, err := log.OldestWaiting(t.Context())
		require.NoError(t, err)
		assert.False(t, waits)
		events := eventbustest.Events(2)
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
		at, waits, err := log.OldestWaiting(t.Context())
		require.NoError(t, err)
		assert.True(t, waits)
		assert.Equal(t, events[0].At, at)
	})
}

func TestLogRefusesAPayloadThatCannotBeRead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		log := database.NewLog(db, atLogNow)
		events := eventbustest.Events(1)
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
		other := uuid.New()
		require.NoError(t, db.Writer().Exec(`INSERT INTO payment_events (id, transaction_id, seq, to_status, cause, payload, at)
			VALUES (?, ?, 2, 'pending', 'request', 'not JSON', ?)`, other, events[0].TransactionID, logNow).Error)
		require.NoError(t, log.AssignPositions(t.Context(), 1, append(eventIDs(events), other)))
		_, err := log.ReadAfter(t.Context(), 0, 10)
		require.ErrorContains(t, err, "position 2", "a poison row must be named, not dropped")
	})
}

func TestLeaseHasOneHolderAndARisingFence(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		now := logNow
		leases := database.NewLeases(db, func() time.Time { return now })
		acquire := func(holder string) (int64, bool) {
			fence, ok, err := leases.Acquire(t.Context(), "work", holder, 10*time.Second)
			require.NoError(t, err)
			return fence, ok
		}
		renew := func(fence int64) bool {
			ok, err := leases.Renew(t.Context(), "work", fence, 10*time.Second)
			require.NoError(t, err)
			return ok
		}
		first, ok := acquire("one")
		require.True(t, ok)
		_, ok = acquire("two")
		require.False(t, ok, "a lease that runs is not given away")
		now = now.Add(9500 * time.Millisecond)
		require.True(t, renew(first))
		now = now.Add(9500 * time.Millisecond)
		_, ok = acquire("two")
		require.False(t, ok, "renewed is longer")
		now = now.Add(500 * time.Millisecond)
		second, ok := acquire("two")
		require.True(t, ok, "what has run out is free")
		assert.Greater(t, second, first)
		assert.False(t, renew(first), "who was replaced must not renew")
		require.NoError(t, leases.Release(t.Context(), "work", first))
		_, ok = acquire("three")
		require.False(t, ok, "who was replaced must not release")
		require.NoError(t, leases.Release(t.Context(), "work", second))
		third, ok := acquire("three")
		require.True(t, ok, "what was released is free at once")
		assert.Greater(t, third, second)
	})
}

func TestLeaseIsGivenToOneOfMany(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var moment atomic.Int64
		leases := database.NewLeases(db, func() time.Time { return logNow.Add(time.Duration(moment.Load()) * time.Minute) })
		for range 5 { // first a lease that never was, then ones that have run out
			var given atomic.Int64
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					_, ok, err := leases.Acquire(t.Context(), "work", fmt.Sprint("server ", i), 10*time.Second)
					assert.NoError(t, err)
					if ok {
						given.Add(1)
					}
				})
			}
			all.Wait()
			require.Equal(t, int64(1), given.Load())
			moment.Add(1)
		}
	})
}

// TestLogQueriesUseTheirIndexes fills the table so that a scan would be a mistake, and asks each database for its plan.
func TestLogQueriesUseTheirIndexes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		log := database.NewLog(db, atLogNow)
		for range 4 {
			var events []account.PaymentEvent
			for range 500 {
				events = append(events, eventbustest.Events(1)...)
			}
			require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
			require.NoError(t, log.AssignPositions(t.Context(), 1, eventIDs(events)))
		}
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, eventbustest.Events(3)...))
		explain := "EXPLAIN "
		if db.Dialect() == database.SQLite {
			explain = "EXPLAIN QUERY PLAN "
		}
		require.NoError(t, db.Writer().Exec("ANALYZE").Error)
		for query, index := range map[string]string{
			"SELECT id FROM payment_events e WHERE e.position IS NULL ORDER BY e.at, e.transaction_id, e.seq LIMIT 500": "payment_events_waiting_idx",
			"SELECT position, payload FROM payment_events WHERE position > 1990 ORDER BY position LIMIT 5":              "payment_events_position_key",
		} {
			rows, err := db.Reader().Raw(explain + query).Rows()
			require.NoError(t, err)
			var plan strings.Builder
			for rows.Next() {
				columns, err := rows.Columns()
				require.NoError(t, err)
				cells := make([]any, len(columns))
				for i := range cells {
					cells[i] = new(any)
				}
				require.NoError(t, rows.Scan(cells...))
				fmt.Fprintln(&plan, *cells[len(cells)-1].(*any))
			}
			require.NoError(t, rows.Err())
			require.NoError(t, rows.Close())
			assert.Contains(t, plan.String(), index, query)
		}
	})
}

// BenchmarkAssignPositions measures one batch of 500, the statement and its commit.
func BenchmarkAssignPositions(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			db := databasetest.Open(b, dialect, database.Options{})
			log := database.NewLog(db, atLogNow)
			for b.Loop() {
				b.StopTimer()
				var events []account.PaymentEvent
				for range 500 {
					events = append(events, eventbustest.Events(1)...)
				}
				require.NoError(b, databasetest.CommitEvents(b.Context(), db, events...))
				b.StartTimer()
				waiting, err := log.Waiting(b.Context(), 500)
				require.NoError(b, err)
				require.Len(b, waiting, 500)
				require.NoError(b, log.AssignPositions(b.Context(), 1, eventIDs(events)))
			}
		})
	}
}
