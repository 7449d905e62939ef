package database_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func TestBackupOfALiveFileIsWhole(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite, database.Options{})
	writeSoundBooks(t, db)
	k := newBookkeeper(t, db)
	user, from := k.funded(1_000)
	_, to := k.funded(1)
	path := filepath.Join(t.TempDir(), "copy.db")
	stop, ended := context.WithCancel(t.Context())
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for stop.Err() == nil {
			needs, fn := k.transfer(k.newTransfer(user, from, to, eur(1)))
			_ = k.ledger.Do(context.WithoutCancel(stop), needs, fn)
		}
	}()
	size, err := database.Backup(t.Context(), db, path, nil)
	ended()
	<-writing
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, size, info.Size())
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "S57")
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing is left beside it")
	copied := databasetest.OpenURL(t, "sqlite://"+path, database.Options{})
	require.NoError(t, database.Migrate(t.Context(), copied))
	databasetest.CheckInvariants(t, copied, noon)
	require.NotZero(t, count(t, copied, "SELECT COUNT(*) FROM transactions"))

	_, err = database.Backup(t.Context(), db, path, nil)
	require.ErrorContains(t, err, "is there already")
	_, err = database.Backup(t.Context(), db, filepath.Join(t.TempDir(), "no folder", "copy.db"), nil)
	require.Error(t, err)
	_, err = database.Backup(t.Context(), databasetest.Open(t, database.Postgres, database.Options{}), path+"2", nil)
	require.ErrorIs(t, err, database.ErrBackupElsewhere)
}

// crashed is a copy of a database with its log, as a server that was killed leaves them.
func crashed(t *testing.T) (path string) {
	t.Helper()
	url := databasetest.URL(t, database.SQLite)
	db := databasetest.OpenURL(t, url, database.Options{})
	require.NoError(t, database.WithoutCheckpoints(db))
	k := newBookkeeper(t, db)
	for range 5 {
		k.funded(100)
	}
	path = filepath.Join(t.TempDir(), "florin.db")
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(strings.TrimPrefix(url, "sqlite://") + end)
		require.NoError(t, err)
		require.NotEmpty(t, content)
		require.NoError(t, os.WriteFile(path+end, content, 0o600))
	}
	return path
}

func TestF103_TornEndOfTheLogIsNoDamage(t *testing.T) {
	t.Parallel()
	path := crashed(t)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+"-wal", log[:len(log)-100], 0o600))
	db := databasetest.OpenURL(t, "sqlite://"+path, database.Options{})
	require.Positive(t, count(t, db, "SELECT COUNT(*) FROM entries"))
}

func TestF103_DamageInsideTheLogIsRefused(t *testing.T) {
	t.Parallel()
	path := crashed(t)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	log[32+24+1000] ^= 1 // in the first frame
	require.NoError(t, os.WriteFile(path+"-wal", log, 0o600))
	_, err = database.Open(t.Context(), "sqlite://"+path, database.Options{})
	require.ErrorContains(t, err, "write-ahead log beside the file is damaged")
	again, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	require.Equal(t, log, again, "nothing of it is touched")
}

func TestF103_FileOfAnotherProgramIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte("this is no database at all"), 0o640))
	_, err := database.Open(t.Context(), "sqlite://"+text, database.Options{})
	require.ErrorContains(t, err, "another program's")
	info, err := os.Stat(text)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm(), "nothing of it is touched")

	foreign := filepath.Join(folder, "foreign.db")
	db := databasetest.OpenURL(t, "sqlite://"+foreign, database.Options{})
	require.NoError(t, db.Writer().Exec("CREATE TABLE bookmarks (url text)").Error)
	require.NoError(t, db.Close())
	_, err = database.Open(t.Context(), "sqlite://"+foreign, database.Options{})
	require.ErrorContains(t, err, "another program's")

	_, err = database.Open(t.Context(), "sqlite:///proc/florin.db", database.Options{})
	require.ErrorContains(t, err, "open sqlite")
}
