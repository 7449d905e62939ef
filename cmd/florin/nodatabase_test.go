package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// storeCommands are the commands that work on a database which is there.
func storeCommands(t *testing.T) [][]string {
	id := uuid.NewString()
	return [][]string{{"backup", "--to", filepath.Join(t.TempDir(), "copy.db")}, {"verify"}, {"reconcile", "--wait", "1s"},
		{"reviews", "list"}, {"dead-letters", "list"}, {"events", "lag"}, {"operators", "reset"}, {"dead-letters", "redrive", id, "--reason", "x"}}
}

func TestF129_OnlyServeAndMigrateMakeADatabase(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for _, args := range storeCommands(t) {
		code, stdout, stderr := command(t, settings(t, map[string]string{"DATA_DIR": gone}), args...)
		assert.Equal(t, 1, code, args)
		assert.Empty(t, stdout, args)
		assert.Equal(t, "florin: no database at "+filepath.Join(gone, "florin.db")+"; is DATA_DIR right?\n", stderr, args)
		assert.NoDirExists(t, gone, args)
		if args[0] == "backup" {
			assert.NoFileExists(t, args[2], "a backup of nothing")
		}
	}
}

func TestF129_ADatabaseWithoutOurTablesIsRefusedAndLeftAlone(t *testing.T) {
	empty, other := filepath.Join(t.TempDir(), "florin.db"), filepath.Join(t.TempDir(), "florin.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	theirs, err := sql.Open("sqlite", other)
	require.NoError(t, err)
	_, err = theirs.ExecContext(t.Context(), "CREATE TABLE notes (text TEXT)")
	require.NoError(t, err)
	require.NoError(t, theirs.Close())
	urls := map[string]string{"sqlite://" + empty: "no tables of Florin's", "sqlite://" + other: "another program's",
		databasetest.EmptyURL(t, database.Postgres): "no tables of Florin's"}
	for url, says := range urls {
		for _, args := range storeCommands(t) {
			code, stdout, stderr := command(t, settings(t, map[string]string{"DATABASE_URL": url}), args...)
			assert.Equal(t, 1, code, args)
			assert.Empty(t, stdout, args)
			assert.Contains(t, stderr, says, args)
			assert.NotContains(t, stderr, "SQL", args)
			assert.NotContains(t, stderr, "SELECT", args)
		}
	}
	left, err := os.Stat(empty)
	require.NoError(t, err)
	assert.Zero(t, left.Size())
}
