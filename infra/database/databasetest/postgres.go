package databasetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// EnvURL names the environment variable with the URL of a PostgreSQL server on which tests may create databases.
const EnvURL = "TEST_DATABASE_URL"

// templateLock keeps the test binaries that share a server from building the template twice.
const templateLock = 0x666c6f72696e

// ServerURL is the address of the PostgreSQL server that the tests of this process use.
func ServerURL(t testing.TB) string {
	t.Helper()
	address, err := serverURL()
	if err != nil {
		t.Fatalf("no PostgreSQL for this test: %v", err)
	}
	return address
}

var serverURL = sync.OnceValues(func() (string, error) {
	if address := os.Getenv(EnvURL); address != "" {
		return address, nil
	}
	server, err := Start(context.Background())
	if err != nil {
		return "", err
	}
	return server.URL, nil // it ends with this process
})

// clonePostgres creates a database from a template and drops it when the test ends.
func clonePostgres(t testing.TB, template string) string {
	t.Helper()
	server := ServerURL(t)
	ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
	defer cancel()
	if template == templateName() {
		if err := buildTemplate(); err != nil {
			t.Fatalf("build the migrated template database: %v", err)
		}
	}
	name := randomName()
	if err := copyDatabase(ctx, server, name, template); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	address, err := withDatabase(server, name)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// buildTemplate makes sure that the server has the template. It is built under another name and renamed when it is whole,
// so that a run that was killed leaves nothing that looks finished.
var buildTemplate = sync.OnceValue(func() error {
	server, err := serverURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // the advisory lock ends with it
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return err
	}
	var exists bool
	query := "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, templateName()).Scan(&exists); err != nil || exists {
		return err
	}
	draft := randomName()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+draft+" TEMPLATE template0"); err != nil {
		return err
	}
	address, err := withDatabase(server, draft)
	if err != nil {
		return err
	}
	if err := migrateURL(address); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+templateName())
	return err
})

// copyDatabase creates a database by copying the files of another: into the log page by page, as PostgreSQL 15 and later do unless
// told otherwise, takes three times as long.
func copyDatabase(ctx context.Context, server, name, template string) error {
	statement := "CREATE DATABASE " + name + " TEMPLATE " + template
	err := execute(ctx, server, statement+" STRATEGY file_copy")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42601" {
		return execute(ctx, server, statement) // earlier versions know no other way
	}
	return err
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func withDatabase(server, name string) (string, error) {
	address, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("%s is no URL", EnvURL) // the parser's error would show the password
	}
	address.Path = "/" + name
	return address.String(), nil
}
