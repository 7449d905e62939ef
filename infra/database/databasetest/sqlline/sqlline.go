// Package sqlline is plain double-entry bookkeeping in SQL, as a careful program would write it by hand: the lines that
// cmd/bench compares Florin with, on the same PostgreSQL server. It has no idempotency keys, no status history and no
// checks but that of the funds, so it does less than Florin does for the same payment.
package sqlline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// funds is what each account begins with, in minor units: more than a run can move.
const funds = 1_000_000_000_000

// amount is what each transfer and each credit moves, in minor units.
const amount = 1

// clearing is the other side of a credit. It has no row, as a system account of Florin is never updated.
var clearing = pgtype.UUID{Bytes: uuid.MustParse("00000000-0000-7000-8000-000000000001"), Valid: true}

// schema has what each row needs to be found again: primary keys, and the index of an account's entries, without which no
// statement of the account could be drawn.
const schema = `
CREATE TABLE accounts (
    id         uuid        PRIMARY KEY,
    currency   text        NOT NULL,
    posted     bigint      NOT NULL CHECK (posted >= 0),
    updated_at timestamptz NOT NULL
);
CREATE TABLE transfers (
    id             uuid        PRIMARY KEY,
    source_id      uuid        NOT NULL,
    destination_id uuid        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount > 0),
    currency       text        NOT NULL,
    created_at     timestamptz NOT NULL
);
CREATE TABLE entries (
    transfer_id uuid        NOT NULL,
    line        smallint    NOT NULL,
    account_id  uuid        NOT NULL,
    amount      bigint      NOT NULL CHECK (amount <> 0),
    posted_at   timestamptz NOT NULL,
    PRIMARY KEY (transfer_id, line)
);
CREATE INDEX entries_account_idx ON entries (account_id, transfer_id);
CREATE TABLE outbox (
    id          uuid        PRIMARY KEY,
    transfer_id uuid        NOT NULL,
    payload     text        NOT NULL,
    created_at  timestamptz NOT NULL
);`

// CreateDatabase makes an empty database on the server and returns its URL.
func CreateDatabase(ctx context.Context, server, name string) (string, error) {
	address, err := url.Parse(server)
	if err != nil {
		return "", errors.New("create database: not the URL of a server") // the parser's error would show the password
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	address.Path = "/" + name
	return address.String(), nil
}

// DropDatabase removes a database, whoever is connected, so that the server does no more work for it.
func DropDatabase(ctx context.Context, server, name string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}

// Books are the accounts that the lines run on.
type Books struct {
	url      string
	accounts []pgtype.UUID
}

// Open builds the books in an empty database, with so many accounts, all funded.
func Open(ctx context.Context, databaseURL string, accounts int) (*Books, error) {
	b := &Books{url: databaseURL, accounts: make([]pgtype.UUID, accounts)}
	for i := range b.accounts {
		b.accounts[i] = pgtype.UUID{Bytes: uuid.New(), Valid: true}
	}
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("open sql lines: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, schema); err != nil {
		return nil, fmt.Errorf("open sql lines: %w", err)
	}
	_, err = conn.Exec(ctx, "INSERT INTO accounts (id, currency, posted, updated_at) SELECT id, 'EUR', $2, $3 FROM unnest($1::uuid[]) AS id",
		b.accounts, int64(funds), now())
	if err != nil {
		return nil, fmt.Errorf("open sql lines: %w", err)
	}
	// Without statistics the planner would keep the plans of an empty table.
	if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) accounts"); err != nil {
		return nil, fmt.Errorf("open sql lines: %w", err)
	}
	return b, nil
}

// Len is the number of accounts.
func (b *Books) Len() int { return len(b.accounts) }

// Check compares the books with what was done: the sum of the balances has grown by the credits alone, and the entries sum to
// zero. It must not run beside a line.
func (b *Books) Check(ctx context.Context, credits int64) error {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var grown, lines int64
	err = conn.QueryRow(ctx, "SELECT SUM(posted)::bigint - $1::bigint, (SELECT COALESCE(SUM(amount), 0)::bigint FROM entries) FROM accounts",
		int64(len(b.accounts))*funds).Scan(&grown, &lines)
	switch {
	case err != nil:
		return err
	case grown != credits*amount:
		return fmt.Errorf("the balances have grown by %d, not by the credits of %d", grown, credits*amount)
	case lines != 0:
		return fmt.Errorf("the entries sum to %d, not to 0", lines)
	}
	return nil
}

// Client is one connection. It serves one goroutine.
type Client struct {
	conn  *pgx.Conn
	books *Books
}

// Client connects.
func (b *Books) Client(ctx context.Context) (*Client, error) {
	config, err := pgx.ParseConfig(b.url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["timezone"] = "UTC"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Client{conn, b}, nil
}

// Close ends the connection.
func (c *Client) Close(ctx context.Context) error { return c.conn.Close(ctx) }

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Describe is the version of the server and its settings on which a comparison depends, by name.
func Describe(ctx context.Context, server string) (map[string]string, error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("describe server: %w", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)", []string{"server_version", "fsync",
		"synchronous_commit", "full_page_writes", "autovacuum", "shared_buffers", "max_wal_size", "checkpoint_timeout", "wal_sync_method"})
	if err != nil {
		return nil, fmt.Errorf("describe server: %w", err)
	}
	described := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { described[name] = value; return nil }); err != nil {
		return nil, fmt.Errorf("describe server: %w", err)
	}
	return described, nil
}

// TableBytes is how large the tables of a database are, with their indexes, by name.
func TableBytes(ctx context.Context, url string) (map[string]int64, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("size of tables: %w", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT relname, pg_total_relation_size(oid) FROM pg_class
		WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	if err != nil {
		return nil, fmt.Errorf("size of tables: %w", err)
	}
	sizes := map[string]int64{}
	var name string
	var bytes int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &bytes}, func() error { sizes[name] = bytes; return nil }); err != nil {
		return nil, fmt.Errorf("size of tables: %w", err)
	}
	return sizes, nil
}

// Checkpoint has the server write out what is changed in its memory, so that it does not do that later.
func Checkpoint(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

// CountAfter is how many rows of a table have a higher id.
func CountAfter(ctx context.Context, url, table string, id uuid.UUID) (count int64, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT COUNT(*) FROM "+pgx.Identifier{table}.Sanitize()+" WHERE id > $1", id.String()).Scan(&count)
	return count, err
}
