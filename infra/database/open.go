// Package database keeps everything that Florin must not lose: in an SQLite file or in PostgreSQL, as DATABASE_URL says.
// The same repositories serve both. gorm and pgx are known nowhere else.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
)

// Dialect names the kind of database.
type Dialect string

// The two databases.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Options tune a database; the zero value is what production uses.
type Options struct {
	Logger *slog.Logger // slow queries and errors, never a parameter's value; slog.Default() when nil

	// Connections of the pools on PostgreSQL; for each, 4 for a processor of this machine, but 8 to 32, when 0. The commits have
	// as many as the writer beside them, of which they use one. SQLite has exactly one writer, and 2 readers when 0.
	Writers int
	Readers int

	ConnWait  time.Duration // the longest wait for a connection, 1 s when 0
	SlowQuery time.Duration // from which on a query is logged, 500 ms when 0

	// PostgreSQL only: what the server itself ends. 5 s, 2 s and 10 s when 0.
	StatementTimeout         time.Duration
	LockTimeout              time.Duration
	IdleInTransactionTimeout time.Duration

	// Spans gives each statement a span where it is part of a recorded trace.
	Spans bool
	// Vault seals targets and what providers sent; nil for none.
	Vault Vault

	tracer pgx.QueryTracer // sees every statement on PostgreSQL; for the test of plans
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	setIfZero(&o.ConnWait, time.Second)
	setIfZero(&o.SlowQuery, 500*time.Millisecond)
	setIfZero(&o.StatementTimeout, 5*time.Second)
	setIfZero(&o.LockTimeout, 2*time.Second)
	setIfZero(&o.IdleInTransactionTimeout, 10*time.Second)
	return o
}

func setIfZero[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	dialect Dialect
	options Options
	writer  *gorm.DB
	reader  *gorm.DB
	lane    *pgxpool.Pool   // of the commits alone on PostgreSQL, nil on SQLite
	pools   []*pgxpool.Pool // of the writer and the reader on PostgreSQL
	handles []*sql.DB       // the same as gorm has them
	layout  atomic.Pointer[pgLayout]
	closers []func() error

	// openForMigration opens one connection without the timeouts of the request path.
	openForMigration func() (*sql.DB, error)
}

// Open opens the database of a URL: sqlite://path/to/file.db (created when missing, with its folder) or
// postgres://user:password@host/name. It makes sure that a commit means what it says, and builds no schema: see Migrate.
// The URL's password is never part of an error.
func Open(ctx context.Context, url string, options Options) (*DB, error) {
	options = options.withDefaults()
	scheme, rest, ok := strings.Cut(url, "://")
	switch {
	case ok && scheme == "sqlite":
		return openSQLite(ctx, rest, options)
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(ctx, url, options)
	default:
		return nil, errors.New(`open database: the URL must begin with "sqlite://" or "postgres://"`)
	}
}

// Writer is the handle that may write. On SQLite it has one connection, and every transaction on it begins IMMEDIATE:
// a statement on Writer inside a transaction waits for itself, so inside one only its tx may be used.
func (db *DB) Writer() *gorm.DB { return db.writer }

// Reader is the handle for reads outside a transaction; a write through it is refused by the database.
func (db *DB) Reader() *gorm.DB { return db.reader }

// Dialect says which database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Ping asks both handles for an answer and returns an errs Unavailable error when one has none.
func (db *DB) Ping(ctx context.Context) error {
	var both errgroup.Group
	for _, handle := range []*gorm.DB{db.writer, db.reader} {
		both.Go(func() error { return handle.WithContext(ctx).Exec("SELECT 1").Error })
	}
	return toErrs("ping database", both.Wait())
}

// Narrow has all who use the handles share one connection each on PostgreSQL, until Widen: opening one takes such a server longer
// than all that a start asks, and whoever finds none free opens another.
func (db *DB) Narrow() {
	for _, handle := range db.handles {
		handle.SetMaxOpenConns(1)
	}
}

// Widen ends Narrow, and opens the connection of the commits unless one has been made. The error is that of opening it; the next
// commit tries again.
func (db *DB) Widen(ctx context.Context) error {
	for _, handle := range db.handles {
		handle.SetMaxOpenConns(0)
	}
	if db.lane == nil {
		return nil
	}
	return toErrs("open the connection of the commits", classify(db.lane.Ping(ctx)))
}

// Close waits for running queries and closes every connection.
func (db *DB) Close() error {
	var failures []error
	for i := len(db.closers) - 1; i >= 0; i-- {
		failures = append(failures, db.closers[i]())
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// openHandle wraps a pool in gorm with the settings that both databases share.
func openHandle(dialector gorm.Dialector, options Options) (*gorm.DB, error) {
	handle, err := gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		DisableAutomaticPing:   true,
		Logger:                 queryLogger{log: options.Logger, slow: options.SlowQuery},
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
	if err == nil && options.Spans {
		err = giveSpans(handle)
	}
	return handle, err
}
