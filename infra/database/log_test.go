package database_test

import (
	"fmt"
	"slices"
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

// waiting is what a relay would see.
func waiting(t testing.TB, log *database.Log) []eventbus.WaitingBatch {
	t.Helper()
	batches, err := log.Waiting(t.Context(), 10_000)
	require.NoError(t, err)
	return batches
}

func assign(t testing.TB, log *database.Log, fence int64, batches []eventbus.WaitingBatch) error {
	_, err := log.AssignPositions(t.Context(), fence, batches)
	return err
}

func TestLogGivesPositionsInTheOrderAsked(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		log := database.NewLog(db, atLogNow)
		var events []account.PaymentEvent
		for range 50 {
			batch := slices.Concat(eventbustest.Events(2), eventbustest.Events(3))
			events = append(events, batch...)
			require.NoError(t, databasetest.CommitEvents(t.Context(), db, batch...))
		}
		first, err := log.Waiting(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, first, 10)
		all := waiting(t, log)
		require.NoError(t, assign(t, log, 7, all))
		require.Empty(t, waiting(t, log))
		databasetest.CheckLog(t, db)
		for after := range int64(len(events) + 1) { // each place within a batch, its edges, and the end
			got, err := log.ReadAfter(t.Context(), after, 7)
			require.NoError(t, err)
			require.Len(t, got, min(7, len(events)-int(after)))
			for i, e := range got {
				position := after + int64(i) + 1
				require.Equal(t, eventbus.PositionedEvent{Position: position, Event: events[position-1]}, e)
			}
		}
		require.ErrorIs(t, assign(t, log, 6, all[:1]), eventbus.ErrFenced)
		require.ErrorIs(t, assign(t, log, 7, all[:1]), eventbus.ErrStale)
		require.NoError(t, assign(t, log, 1, nil))
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
		require.NoError(t, db.Writer().Exec(`INSERT INTO event_batches (id, events, at) VALUES (77, 1, ?)`, logNow).Error)
		require.NoError(t, db.Writer().Exec(`INSERT INTO payment_events (batch_id, n, id, transaction_id, seq, to_status, cause, payload, at)
			VALUES (77, 1, ?, ?, 2, 'pending', 'request', 'not JSON', ?)`, uuid.New(), events[0].TransactionID, logNow).Error)
		require.NoError(t, assign(t, log, 1, waiting(t, log)))
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
		for range 2000 {
			require.NoError(t, databasetest.CommitEvents(t.Context(), db, eventbustest.Events(1)...))
		}
		require.NoError(t, assign(t, log, 1, waiting(t, log)))
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, eventbustest.Events(3)...))
		explain := "EXPLAIN "
		if db.Dialect() == database.SQLite {
			explain = "EXPLAIN QUERY PLAN "
		}
		require.NoError(t, db.Writer().Exec("ANALYZE").Error)
		for query, index := range map[string]string{
			"SELECT id, events FROM event_batches WHERE position IS NULL ORDER BY id LIMIT 500": "event_batches_waiting_idx",
			`SELECT b.position + e.n - 1 AS position, e.payload FROM event_batches b JOIN payment_events e ON e.batch_id = b.id
				WHERE b.position >= COALESCE((SELECT MAX(position) FROM event_batches WHERE position <= 1990), 1) AND b.position + e.n - 1 > 1990
				ORDER BY b.position, e.n LIMIT 5`: "event_batches_position_key",
		} {
			rows, err := db.Reader().Raw(explain + query).Rows()
			require.NoError(t, err)
			defer func() { _ = rows.Close() }()
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
				for range 500 {
					require.NoError(b, databasetest.CommitEvents(b.Context(), db, eventbustest.Events(1)...))
				}
				b.StartTimer()
				batches := waiting(b, log)
				require.Len(b, batches, 500)
				require.NoError(b, assign(b, log, 1, batches))
			}
		})
	}
}
