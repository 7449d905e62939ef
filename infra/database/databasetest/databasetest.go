// Package databasetest gives a test a database of its own, migrated and empty, on both kinds of database. PostgreSQL comes
// from TEST_DATABASE_URL, or from a throwaway server that the test binary starts itself and that ends with it. Where
// neither can be had the test fails and says what to install: nothing is skipped.
package databasetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"florin/infra/database"
	"florin/migrations"
)

// setupLimit bounds all that happens before a test has its database.
const setupLimit = time.Minute

// Each runs the test once on SQLite and once on PostgreSQL, as the subtests "sqlite" and "postgres", each with a migrated and
// empty database of its own. The subtests run in parallel, after the calling function has returned.
func Each(t *testing.T, run func(t *testing.T, db *database.DB)) {
	t.Helper()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			run(t, Open(t, dialect, database.Options{}))
		})
	}
}

// Open opens a new migrated database, which is closed and dropped when the test ends. What the database logs goes to the
// test's output unless options name a Logger.
func Open(t testing.TB, dialect database.Dialect, options database.Options) *database.DB {
	t.Helper()
	return OpenURL(t, URL(t, dialect), options)
}

// OpenURL opens a database for the time of the test.
func OpenURL(t testing.TB, url string, options database.Options) *database.DB {
	t.Helper()
	if options.ConnWait == 0 {
		options.ConnWait = 10 * time.Second // a race detector or a busy machine is no reason to fail
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), setupLimit)
	defer cancel()
	db, err := database.Open(ctx, url, options)
	if err != nil {
		t.Fatalf("open test database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close test database: %v", err)
		}
	})
	return db
}

// URL names a new migrated database, for whoever opens it himself, as the whole program does. It is dropped when the test
// ends, whoever is still connected.
func URL(t testing.TB, dialect database.Dialect) string {
	t.Helper()
	if dialect == database.Postgres {
		return clonePostgres(t, templateName())
	}
	path := filepath.Join(t.TempDir(), "florin.db")
	content, err := migratedFile()
	if err != nil {
		t.Fatalf("migrate the sqlite template: %v", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// Clone names a new database that is what the database of the URL is now, as from a backup. Nobody may be connected to that one.
func Clone(t testing.TB, address string) string {
	t.Helper()
	if path, ok := strings.CutPrefix(address, "sqlite://"); ok {
		copied := filepath.Join(t.TempDir(), "florin.db")
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(copied, content, 0o600)
		}
		if err != nil {
			t.Fatalf("copy the database: %v", err)
		}
		return "sqlite://" + copied
	}
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal("copy the database: its address is no URL")
	}
	return clonePostgres(t, strings.TrimPrefix(parsed.Path, "/"))
}

// EmptyURL names a new database without any table.
func EmptyURL(t testing.TB, dialect database.Dialect) string {
	t.Helper()
	if dialect == database.Postgres {
		return clonePostgres(t, "template0")
	}
	return "sqlite://" + filepath.Join(t.TempDir(), "florin.db")
}

// migratedFile is a migrated SQLite file, built once in this process.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "florin-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "template.db")
	if err := migrateURL("sqlite://" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func migrateURL(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
	defer cancel()
	db, err := database.Open(ctx, url, database.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := database.Migrate(ctx, db); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close() // the last connection writes the log back into the file
}

// templateName changes with every change of the migrations, so that a server which outlives a run is never stale.
var templateName = sync.OnceValue(func() string {
	hash := sha256.New()
	_ = fs.WalkDir(migrations.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := migrations.Files.ReadFile(path)
		hash.Write(append([]byte(path), content...))
		return err
	})
	return fmt.Sprintf("florin_template_%x", hash.Sum(nil)[:6])
})

// randomName is a database name that no other test has.
func randomName() string {
	return "florin_test_" + strings.ToLower(rand.Text()[:16])
}
