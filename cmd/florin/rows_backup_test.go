package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBackupBesideARunningServer: the copy is a database that verifies, and a file that is there stays as it is.
func TestBackupBesideARunningServer(t *testing.T) {
	environ := settings(t, nil)
	app := buildApp(t, environ, Options{})
	app.Start()
	openAccount(t, person(t, app, "ada"), "EUR")
	path := filepath.Join(t.TempDir(), "copy.db")
	code, stdout, stderr := command(t, environ, "backup", "--to", path, "--json")
	require.Zero(t, code, stderr)
	written := decoded[struct {
		File  string
		Bytes int64
	}](t, stdout)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, info.Size(), written.Bytes)
	require.NoError(t, app.Stop())
	code, stdout, _ = command(t, map[string]string{"DATABASE_URL": "sqlite://" + path, "DATA_DIR": t.TempDir()}, "verify")
	assert.Zero(t, code, stdout)

	code, _, stderr = command(t, environ, "backup", "--to", path)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "is there already")
	code, _, _ = command(t, environ, "backup")
	assert.Equal(t, 2, code, "without a file")
}

// TestF103_DamageIsToldAtTheStart: the exit code is 1, and the message says what to do.
func TestF103_DamageIsToldAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(path, []byte("this is no database at all"), 0o600))
	code, _, stderr := command(t, map[string]string{"DATABASE_URL": "sqlite://" + path, "DATA_DIR": t.TempDir(), "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0"}, "serve")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "another program's: DATABASE_URL must name Florin's own")
}

// TestF100_FullDiskRefusesWritesAndServesReads: nothing is acknowledged that is not stored, and all goes on when there is space again.
func TestF100_FullDiskRefusesWritesAndServesReads(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, other := r.user(), r.user()
		euros, theirs := c.open("EUR"), other.open("EUR")
		c.fund(euros, "100.00", "EUR")
		r.quiet()
		freed := n.databaseFull()
		big := `{"mock":"` + strings.Repeat("x", 480) + `"}` // no free space of a page is enough for it
		for range 40 {
			body := fmt.Sprintf(`{"amount":"1.00","currency":"EUR","destination_account_id":%q,"metadata":%s}`, theirs, big)
			if answer := c.do("POST", "/account/"+euros+"/transfer", body); answer.status != 200 {
				answer.refused(t, 503, "database_unavailable")
				break
			}
		}
		before := c.balance(euros)
		c.do("POST", "/account/"+euros+"/transfer", fmt.Sprintf(`{"amount":"1.00","currency":"EUR","destination_account_id":%q,"metadata":%s}`, theirs, big)).
			refused(t, 503, "database_unavailable")
		require.Equal(t, before, c.balance(euros), "reads go on, and show nothing of it")
		freed()
		require.Equal(t, 200, c.transfer(euros, theirs, "1.00", "EUR").status)
	})
}
