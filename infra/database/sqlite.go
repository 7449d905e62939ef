package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"

	"florin/infra/database/sqlitedialect"
)

// checkpointEvery is how often the write-ahead log is copied into the file. A commit never does it itself.
const checkpointEvery = 500 * time.Millisecond

func openSQLite(ctx context.Context, path string, options Options) (_ *DB, err error) {
	if path == "" || path == ":memory:" || strings.Contains(path, "?") {
		return nil, errors.New("open sqlite: the URL must name a file and nothing else, as in sqlite://data/florin.db")
	}
	if err := checkFormat(path); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	if err := createPrivately(path); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	if err := checkLog(path); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	setIfZero(&options.Readers, 2) // each keeps the schema and its pages: more cost memory and, on a file, bring nothing
	db := &DB{dialect: SQLite, options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	writer, err := db.openFile(path, "immediate", false, 1)
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	if err := checkFile(ctx, writer, options.Logger); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", classify(err))
	}
	reader, err := db.openFile(path, "deferred", true, options.Readers)
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	if db.writer, err = openHandle(sqlitedialect.Dialector{Pool: writer}, options); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	if db.reader, err = openHandle(sqlitedialect.Dialector{Pool: reader}, options); err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	checkpointer, err := db.openFile(path, "deferred", true, 1)
	if err != nil {
		return nil, fmt.Errorf("open sqlite: %w", err)
	}
	db.closers = append(db.closers, checkpointLoop(checkpointer, options))
	db.openForMigration = func() (*sql.DB, error) { return openAlone(path, 10*time.Second) }
	return db, nil
}

// errForeignFile is a file that another program has written. Nothing in it is touched.
var errForeignFile = errors.New("the file is another program's: DATABASE_URL must name Florin's own")

// checkFormat refuses what is no SQLite database before anything is done to it. A file that is missing or empty is a new one.
func checkFormat(path string) error {
	const format = "SQLite format 3\x00"
	start, err := readStart(path, len(format))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && string(start) != format {
		return fmt.Errorf("%w; it is no SQLite database", errForeignFile)
	}
	return err
}

// createPrivately makes the file readable by its owner alone; SQLite gives the log beside it the same mode.
func createPrivately(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("the file cannot be written: %w", err)
		}
		return err
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return err
	}
	// SQLite makes its log beside the file, and says little where it cannot.
	probe, err := os.CreateTemp(filepath.Dir(path), ".florin-*")
	if err != nil {
		return fmt.Errorf("the folder cannot be written, and the log is kept beside the file: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// sqliteDSN is the driver's name for the file. Times are written as UTC text with the fraction's trailing zeros cut,
// which still compares in order, because '+' sorts before '.' and every digit.
func sqliteDSN(path, begin string, readOnly bool, busy time.Duration) string {
	query := url.Values{
		"_txlock":      {begin},
		"_time_format": {"sqlite"},
		"_timezone":    {"UTC"},
		"_dqs":         {"0"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
			"foreign_keys(ON)",
			"recursive_triggers(ON)",
			"synchronous(FULL)",
			"wal_autocheckpoint(0)",
			"journal_size_limit(67108864)",
		},
	}
	if readOnly {
		query.Set("_query_only", "1")
		// The operating system caches the file already; the readers' own caches would be most of the server's memory.
		query["_pragma"] = append(query["_pragma"], "cache_size(-512)")
	} else {
		query.Set("_journal_mode", "WAL")
		query["_pragma"] = append(query["_pragma"], "cache_size(-1024)")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// openFile opens a pool whose connections live as long as the DB.
func (db *DB) openFile(path, begin string, readOnly bool, size int) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(sqliteDSN(path, begin, readOnly, db.options.ConnWait))
	if err != nil {
		return nil, err
	}
	pool := newLender(connector, size)
	opened := openBounded(pool, db.options.ConnWait)
	db.closers = append(db.closers, func() error { return errors.Join(opened.Close(), pool.close()) })
	return opened, nil
}

// writerConn takes the one writing connection of an SQLite file for as long as the caller keeps it; everybody else who
// writes waits, so who keeps it must be the only one that does. Close gives it back.
func (db *DB) writerConn(ctx context.Context) (*sql.Conn, error) {
	pool, err := db.writer.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	return conn, classify(err)
}

// openAlone opens one connection that is not shared with anybody.
func openAlone(path string, busy time.Duration) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(sqliteDSN(path, "immediate", false, busy))
	if err != nil {
		return nil, err
	}
	opened := sql.OpenDB(connector)
	opened.SetMaxOpenConns(1)
	return opened, nil
}

// checkWithin is how long a start looks for damage. A file that takes longer is checked by Verify.
const checkWithin = time.Second

// checkFile refuses a file that is damaged or another program's, or on which a commit would not reach the disk.
func checkFile(ctx context.Context, writer *sql.DB, log *slog.Logger) error {
	var journal, health string
	var synchronous int
	if err := writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return err
	}
	if err := writer.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("journal_mode is %s and synchronous %d, not wal and 2: the file system may not support WAL", journal, synchronous)
	}
	var tables, ours int
	if err := writer.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(name = 'goose_db_version'), 0) FROM sqlite_master WHERE type = 'table'`).
		Scan(&tables, &ours); err != nil {
		return err
	}
	if tables > 0 && ours == 0 {
		return errForeignFile
	}
	checkCtx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	err := writer.QueryRowContext(checkCtx, "PRAGMA quick_check(1)").Scan(&health)
	switch {
	case err != nil && checkCtx.Err() != nil && ctx.Err() == nil:
		log.WarnContext(ctx, "the database file is too large to be checked whole at the start; florin verify does it")
		return nil
	case err != nil:
		return err
	case health != "ok":
		return fmt.Errorf("the file is damaged: %s. Restore a backup", health)
	}
	return nil
}

// checkpoint copies committed pages into the file as far as no reader is in the way. It never makes a writer wait.
func checkpoint(ctx context.Context, pool *sql.DB) error {
	var busy, logged, copied int
	return pool.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &logged, &copied)
}

// checkpointLoop runs checkpoint until the returned function is called, which waits for the last one.
func checkpointLoop(pool *sql.DB, options Options) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(checkpointEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := checkpoint(ctx, pool); err != nil && ctx.Err() == nil {
				options.Logger.WarnContext(ctx, "sqlite checkpoint failed", slogError(err))
			}
		}
	}()
	return func() error {
		cancel()
		<-done
		return nil
	}
}
