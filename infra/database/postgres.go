package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

func openPostgres(ctx context.Context, url string, options Options) (_ *DB, err error) {
	setIfZero(&options.Writers, poolSize(runtime.GOMAXPROCS(0)))
	setIfZero(&options.Readers, poolSize(runtime.GOMAXPROCS(0)))
	db := &DB{dialect: Postgres, options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if db.lane, err = db.openPool(url, options.Writers, nil); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if db.writer, err = db.openGorm(url, options.Writers, nil); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	readOnly := map[string]string{"default_transaction_read_only": "on"}
	if db.reader, err = db.openGorm(url, options.Readers, readOnly); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if err := db.connect(ctx); err != nil {
		return nil, toErrs("open postgres", err)
	}
	if err := db.checkServer(ctx); err != nil {
		return nil, toErrs("open postgres", err)
	}
	db.openForMigration = func() (*sql.DB, error) { return openUnhurried(url, options) }
	return db, nil
}

// How long a connection may take to open, and the first of each pool together. A request waits no longer than ConnWait; a start
// is more patient with a server that is busy. One that is not there refuses at once.
const (
	dialWithin    = 5 * time.Second
	connectWithin = 10 * time.Second
)

// connect opens the first connection of each pool, at once: one takes longer than all that the start asks. The commits open theirs
// when there is one.
func (db *DB) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	var first errgroup.Group
	for _, pool := range db.pools {
		first.Go(func() error { return pool.Ping(ctx) })
	}
	return classify(first.Wait())
}

// poolSize is how many connections keep as many processors busy. Commits have one of their own; the others are for sessions, the
// workers, the relay and reads. More would only wait for each other in the database.
func poolSize(processors int) int { return min(max(4*processors, 8), 32) }

// openPool opens a pool. pgxpool holds the connections, because it replaces broken ones, and its connections can carry a
// pgx.Batch. Who closes it closes what was opened on it first.
func (db *DB) openPool(url string, size int, params map[string]string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url) // its error hides the password
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(size) //nolint:gosec // a handful
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 30 * time.Second
	config.ConnConfig.ConnectTimeout = max(dialWithin, db.options.ConnWait)
	config.ConnConfig.Tracer = db.options.tracer
	config.AfterConnect = readTimesInUTC
	set := config.ConnConfig.RuntimeParams
	set["timezone"] = "UTC"
	set["statement_timeout"] = milliseconds(db.options.StatementTimeout)
	set["lock_timeout"] = milliseconds(db.options.LockTimeout)
	set["idle_in_transaction_session_timeout"] = milliseconds(db.options.IdleInTransactionTimeout)
	if set["application_name"] == "" {
		set["application_name"] = "florin"
	}
	for name, value := range params {
		set[name] = value
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	db.closers = append(db.closers, func() error { pool.Close(); return nil })
	return pool, nil
}

// openGorm opens gorm's handle on a pool of its own.
func (db *DB) openGorm(url string, size int, params map[string]string) (*gorm.DB, error) {
	pool, err := db.openPool(url, size, params)
	if err != nil {
		return nil, err
	}
	opened := openBounded(stdlib.GetPoolConnector(pool), db.options.ConnWait)
	db.pools, db.handles = append(db.pools, pool), append(db.handles, opened)
	db.closers = append(db.closers, opened.Close)
	return openHandle(dialector{&postgres.Dialector{Config: &postgres.Config{Conn: opened}}}, db.options)
}

// dialector is gorm's, but for the log, where no value of a statement may show.
type dialector struct{ *postgres.Dialector }

// Explain renders a statement for the log, without its values: they may be secret.
func (dialector) Explain(sql string, _ ...any) string { return sql }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// readTimesInUTC makes a time read from the database the same on every machine.
func readTimesInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// acquire takes the connection of the commits for as long as the caller keeps it, and waits no longer for it than any other
// statement would. A ledger commits one batch at a time, and the pool lends what came back last: so it is one and the same
// connection, whose plans and caches are warm.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	limited, cancel := context.WithTimeoutCause(ctx, db.options.ConnWait, errConnWait)
	defer cancel()
	conn, err := db.lane.Acquire(limited)
	return conn, connectError(ctx, limited, err)
}

// checkServer refuses a server on which an answered commit could be lost.
func (db *DB) checkServer(ctx context.Context) error {
	var set struct{ SynchronousCommit, Fsync string }
	err := db.writer.WithContext(ctx).Raw("SELECT current_setting('synchronous_commit') AS synchronous_commit, " +
		"current_setting('fsync') AS fsync").Scan(&set).Error
	if err != nil {
		return err
	}
	if set.SynchronousCommit == "off" {
		return errors.New("synchronous_commit is off: a commit that was answered could be lost; set it to on")
	}
	if set.Fsync == "off" {
		db.options.Logger.WarnContext(ctx, "postgres runs with fsync off: a power cut loses data; for tests only")
	}
	return nil
}

// openUnhurried opens one connection on which a statement may take as long as it needs; only the wait for a lock stays
// bounded, so that a migration does not queue every other query behind it.
func openUnhurried(url string, options Options) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = max(dialWithin, options.ConnWait)
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = "10000"
	config.RuntimeParams["application_name"] = "florin-migrate"
	opened := stdlib.OpenDB(*config)
	opened.SetMaxOpenConns(1)
	return opened, nil
}
