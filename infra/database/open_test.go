package database_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"florin/domain/errs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func TestOpenRefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "florin.db", "mysql://u:hunter2@h/d", "sqlite://", "sqlite://:memory:", "sqlite://a.db?mode=ro", "postgres://u:hunter2@h:port/d",
	} {
		_, err := database.Open(t.Context(), url, database.Options{})
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := database.Open(t.Context(), "postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable", database.Options{})
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	require.NotContains(t, err.Error(), "hunter2")
}

func TestF102_CommitsAreDurable(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		if db.Dialect() == database.Postgres {
			var commit string
			require.NoError(t, db.Writer().Raw("SHOW synchronous_commit").Scan(&commit).Error)
			require.Equal(t, "on", commit)
			return
		}
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "recursive_triggers": "1"} {
			var have string
			require.NoError(t, db.Writer().Raw("PRAGMA "+pragma).Scan(&have).Error)
			require.Equal(t, want, have, pragma)
		}
	})
}

func TestF102_ServerWithoutSynchronousCommitIsRefused(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, database.Postgres)
	db := databasetest.OpenURL(t, url, database.Options{})
	require.NoError(t, db.Writer().Exec(`DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronous_commit = off'; END $$`).Error)
	_, err := database.Open(t.Context(), url, database.Options{})
	require.ErrorContains(t, err, "synchronous_commit")
}

func TestF103_DamagedFileIsRefused(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, database.SQLite)
	db := databasetest.OpenURL(t, url, database.Options{})
	var page, size int
	require.NoError(t, db.Reader().Raw("SELECT rootpage FROM sqlite_master WHERE name = 'leases'").Scan(&page).Error)
	require.NoError(t, db.Reader().Raw("PRAGMA page_size").Scan(&size).Error)
	require.NoError(t, db.Close())
	path := strings.TrimPrefix(url, "sqlite://")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	copy(content[(page-1)*size:], bytes.Repeat([]byte{0xa5}, 64))
	require.NoError(t, os.WriteFile(path, content, 0o600))
	_, err = database.Open(t.Context(), url, database.Options{})
	require.ErrorContains(t, err, "open sqlite")
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		require.Error(t, db.Reader().Exec(takeLease, "a", noon).Error)
		require.Zero(t, leases(t, db))
		require.NoError(t, db.Ping(t.Context()))
	})
}

func TestS57_FileIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new folder", "100%.db")
	db := databasetest.OpenURL(t, "sqlite://"+path, database.Options{})
	require.NoError(t, database.Migrate(t.Context(), db))
	for name, mode := range map[string]os.FileMode{path: 0o600, path + "-wal": 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestF100_FullDiskIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite, database.Options{})
	var pages int
	require.NoError(t, db.Writer().Raw("PRAGMA page_count").Scan(&pages).Error)
	require.NoError(t, db.Writer().Exec("PRAGMA max_page_count = 1").Error) // SQLite takes the present size
	const fill = "INSERT INTO leases (name, holder, fence, expires_at) VALUES (?, hex(zeroblob(100000)), 1, ?)"
	err := database.ToErrs("fill", db.Writer().Exec(fill, "a", noon).Error)
	require.Equal(t, errs.Unavailable, errs.KindOf(err), "%v", err)
	require.Zero(t, leases(t, db), "reads go on")
	require.NoError(t, db.Writer().Exec("PRAGMA max_page_count = 100000").Error)
	require.NoError(t, db.Writer().Exec(fill, "a", noon).Error)
}

func TestLogHoldsNoValue(t *testing.T) {
	t.Parallel()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			db := databasetest.Open(t, dialect, database.Options{Logger: slog.New(slog.NewTextHandler(&text, nil)), SlowQuery: 1})
			require.NoError(t, db.Writer().Exec(takeLease, "hunter2", noon).Error)
			require.Error(t, db.Writer().Exec("INSERT INTO leases (name, holder) VALUES (?, ?)", "hunter2", "hunter2").Error)
			require.Error(t, db.Writer().Exec("SELECT * FROM missing WHERE name = ?", "hunter2").Error)
			var name string
			require.NoError(t, db.Writer().Raw("SELECT name FROM leases WHERE name = ?", "hunter2").Scan(&name).Error)
			require.NoError(t, db.Writer().Take(&leaseRow{}, "name = ?", "hunter2").Error)
			if dialect == database.Postgres {
				require.Error(t, db.Writer().Exec("SELECT CAST(CAST(? AS text) AS uuid)", "hunter2").Error)
			}
			require.Contains(t, text.String(), "slow query")
			require.Contains(t, text.String(), "query failed")
			require.NotContains(t, text.String(), "hunter2")
		})
	}
}

// TestNarrowOpensNoMoreConnections, however many ask, and Widen lets those go on that wait for one.
func TestNarrowOpensNoMoreConnections(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.Postgres, database.Options{})
	backends := func() (n int) {
		require.NoError(t, db.Reader().Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'florin'").Scan(&n).Error)
		return n
	}
	db.Narrow()
	var asking errgroup.Group
	for range 8 {
		for _, handle := range []*gorm.DB{db.Writer(), db.Reader()} {
			asking.Go(func() error { return handle.WithContext(t.Context()).Exec("SELECT pg_sleep(0.01)").Error })
		}
	}
	require.NoError(t, asking.Wait())
	require.Equal(t, 2, backends())

	held := db.Writer().WithContext(t.Context()).Begin()
	require.NoError(t, held.Error)
	asking.Go(func() error { return db.Writer().WithContext(t.Context()).Exec("SELECT 1").Error })
	require.NoError(t, db.Widen(t.Context()))
	require.NoError(t, asking.Wait())
	require.NoError(t, held.Rollback().Error)
	require.Equal(t, 4, backends(), "a second writer, and the commits")
}
