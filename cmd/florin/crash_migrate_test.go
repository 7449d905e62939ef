package main

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/crashpoint"
)

// TestF104_KilledBetweenMigrations: the next start does what is missing, and nothing twice.
func TestF104_KilledBetweenMigrations(t *testing.T) {
	program := crashProgram(t)
	t.Parallel()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			url := databasetest.EmptyURL(t, dialect)
			for _, point := range []string{"m1", "m1:3", "m2", "m2:4"} {
				migrate := exec.Command(program, "migrate")
				migrate.Env = []string{"DATABASE_URL=" + url, "DATA_DIR=" + t.TempDir(), crashpoint.EnvName + "=" + point}
				require.Error(t, migrate.Run())
				status, ok := migrate.ProcessState.Sys().(syscall.WaitStatus)
				require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "ended by %s, not at %s", migrate.ProcessState, point)
			}
			db := databasetest.OpenURL(t, url, database.Options{})
			before, known, err := database.Version(t.Context(), db)
			require.NoError(t, err)
			require.Less(t, before, known, "it was cut off")
			require.Greater(t, before, int64(3), "it went on each time")
			require.NoError(t, database.Migrate(t.Context(), db))
			after, _, err := database.Version(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, known, after)
			databasetest.CheckInvariants(t, db, systemClock())
		})
	}
}
