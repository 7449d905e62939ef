package database_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/migrations"
)

var bothDialects = []database.Dialect{database.SQLite, database.Postgres}

func TestF104_FourServersMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for _, dialect := range bothDialects {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			url := databasetest.EmptyURL(t, dialect)
			var all sync.WaitGroup
			start, failures := make(chan struct{}), make(chan error, 4)
			for range 4 {
				db := databasetest.OpenURL(t, url, database.Options{})
				_, _, err := database.Version(t.Context(), db) // the version table is there: they meet at the first step
				require.NoError(t, err)
				all.Go(func() {
					<-start
					failures <- database.Migrate(t.Context(), db)
				})
			}
			close(start)
			all.Wait()
			close(failures)
			for err := range failures {
				require.NoError(t, err)
			}
			db := databasetest.OpenURL(t, url, database.Options{})
			current, known, err := database.Version(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, known, current)
			states, err := database.Status(t.Context(), db)
			require.NoError(t, err)
			files, err := migrations.Files.ReadDir(string(dialect))
			require.NoError(t, err)
			require.Len(t, states, len(files))
			require.False(t, states[0].AppliedAt.IsZero())
			require.Zero(t, leases(t, db), "the tables are there")
		})
	}
}

func TestF104_OldProgramOnNewerSchema(t *testing.T) {
	t.Parallel()
	for _, dialect := range bothDialects {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			db := databasetest.Open(t, dialect, database.Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
			_, known, err := database.Version(t.Context(), db)
			require.NoError(t, err)
			ahead := func(version int64) error {
				return db.Writer().Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", version, true).Error
			}
			require.NoError(t, ahead(known+1))
			require.NoError(t, database.Migrate(t.Context(), db))
			require.Contains(t, text.String(), "newer than this program")
			require.NoError(t, ahead(known+2))
			require.NoError(t, database.Migrate(t.Context(), db), "what was only added does no harm")
			require.NoError(t, db.Writer().Exec("UPDATE schema_floor SET oldest = ?", known+2).Error)
			require.ErrorContains(t, database.Migrate(t.Context(), db), "start a newer program")
		})
	}
}

func TestMigrateOfAnUpToDateSchemaTakesNoLock(t *testing.T) {
	t.Parallel()
	for _, dialect := range bothDialects {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			db := databasetest.Open(t, dialect, database.Options{})
			require.NoError(t, database.WithoutMigrations(db, func() error { return database.Migrate(t.Context(), db) }),
				"nothing is opened for a schema that is as it should be")
			require.NoError(t, db.Writer().Exec("DELETE FROM goose_db_version WHERE version_id = 1").Error)
			require.Error(t, database.WithoutMigrations(db, func() error { return database.Migrate(t.Context(), db) }),
				"a migration that is missing is looked at closely")
		})
	}
}
