package database_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus/eventbustest"
)

// TestListenerHearsAndComesBack covers PostgreSQL alone: on SQLite nobody else could speak.
func TestListenerHearsAndComesBack(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, database.Postgres)
	db := databasetest.OpenURL(t, url, database.Options{})
	log := database.NewLog(db, atLogNow)
	grew, nudged := make(chan struct{}, 100), make(chan struct{}, 100)
	await := func(c chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(20 * time.Second):
			require.FailNow(t, "nothing was heard")
		}
	}
	own := database.NewLog(db, atLogNow)
	listener := database.Listener{
		URL: url, Logger: slog.New(slog.DiscardHandler), RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond,
		LogGrew: func(int64) { grew <- struct{}{} }, RelayNudged: func() { nudged <- struct{}{} }, Own: own,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- listener.Run(ctx) }()
	await(nudged) // once when the connection stands
	await(grew)

	for range 2 {
		require.NoError(t, log.NudgeRelay(t.Context()))
		await(nudged)
		events := eventbustest.Events(2)
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
		require.NoError(t, assign(t, log, 1, waiting(t, log)))
		await(grew)
		require.NoError(t, databasetest.CommitEvents(t.Context(), db, eventbustest.Events(1)...))
		require.NoError(t, assign(t, own, 1, waiting(t, log)))
		require.NoError(t, log.NudgeRelay(t.Context()))
		await(nudged) // notifications come in order
		require.Empty(t, grew, "one notification a batch, and none of what was moved here")
		require.Empty(t, nudged)

		require.NoError(t, db.Writer().Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'florin-listen' AND datname = current_database()`).Error)
		await(nudged) // a new connection stands, and what was missed is looked for
		await(grew)
	}
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the listener did not end with its context")
	}
}

func TestListenerEndsWhileTheServerIsAway(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	listener := database.Listener{URL: "postgres://127.0.0.1:1/none", Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, listener.Run(ctx))
}
