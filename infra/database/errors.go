package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"florin/domain/errs"
)

// The classes of a database error. What has none is internal: a fault of the program or of its schema.
var (
	// errUnique is a row that a unique index refused; constraintOf names the index.
	errUnique = errors.New("unique constraint violated")
	// errRetry is a definite rollback that the same work, run again, may not meet: serialization failure, deadlock, busy file.
	errRetry = errors.New("transaction must run again")
	// errUnavailable is a database that cannot do the work now.
	errUnavailable = errors.New("database unavailable")
	// errCommitUnknown is a COMMIT whose answer was lost: it may have taken effect.
	errCommitUnknown = errors.New("commit outcome unknown")
)

// retryAfter is when a request that met an unavailable database is worth sending again.
const retryAfter = 2 * time.Second

// uniqueError carries the name of what refused the row.
type uniqueError struct {
	constraint string
	cause      error
}

func (e *uniqueError) Error() string   { return errUnique.Error() + " (" + e.constraint + ")" }
func (e *uniqueError) Unwrap() []error { return []error{errUnique, e.cause} }

// classify puts a driver's error into its class, once, and keeps the error itself in the chain. Errors without a class, the
// caller's own context errors and errors of the domain come back as they are.
func classify(err error) error {
	if err == nil || errors.Is(err, errUnique) || errors.Is(err, errRetry) || errors.Is(err, errUnavailable) ||
		errors.Is(err, errCommitUnknown) {
		return err
	}
	var onServer *pgconn.PgError
	if errors.As(err, &onServer) {
		return classifyPostgres(err, onServer)
	}
	var inFile *sqlite.Error
	if errors.As(err, &inFile) {
		return classifySQLite(err, inFile)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if connectionBroke(err) {
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return err
}

func classifyPostgres(err error, failure *pgconn.PgError) error {
	class := failure.Code[:min(2, len(failure.Code))]
	switch {
	case failure.Code == "23505":
		return &uniqueError{constraint: failure.ConstraintName, cause: err}
	case failure.Code == "40001", failure.Code == "40P01":
		return fmt.Errorf("%w: %w", errRetry, err)
	case failure.Code == "55P03", // lock_timeout
		failure.Code == "57014",                // statement_timeout
		strings.HasPrefix(failure.Code, "57P"), // shut down, crashed, starting up
		failure.Code == "25P03",                // idle_in_transaction_session_timeout
		failure.Code == "25006",                // read-only: a standby took the address over
		class == "08", class == "53", class == "58":
		return fmt.Errorf("%w: %w", errUnavailable, err)
	default:
		return err
	}
}

func classifySQLite(err error, failure *sqlite.Error) error {
	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return &uniqueError{constraint: sqliteConstraint(failure.Error()), cause: err}
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", errRetry, err)
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%w: %w", errUnavailable, err)
	default:
		return err
	}
}

var sqliteUnique = regexp.MustCompile(`UNIQUE constraint failed: (?:index '([^']+)'|([\w.]+(?:, [\w.]+)*))`)

// sqliteConstraint reads the index's name, or the columns as "table.column, table.column": SQLite names the index only
// when it is on an expression, and gives neither anywhere but in the text.
func sqliteConstraint(message string) string {
	match := sqliteUnique.FindStringSubmatch(message)
	if match == nil {
		return ""
	}
	return match[1] + match[2]
}

// constraintOf is the name of the unique index that refused the row: on PostgreSQL its name, on SQLite that or the columns
// in the form "table.column, table.column". It is empty when err is no errUnique.
func constraintOf(err error) string {
	var unique *uniqueError
	if errors.As(err, &unique) {
		return unique.constraint
	}
	return ""
}

func connectionBroke(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) ||
		strings.Contains(err.Error(), "conn closed") || pgconn.Timeout(err)
}

// toErrs is the last step of every exported method: it wraps err with the operation, and makes of a database that cannot do
// the work now the errs Unavailable error "database_unavailable". An *errs.Error passes through as it is.
func toErrs(operation string, err error) error {
	var known *errs.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("%s: %w", operation, classify(err))
	if errors.Is(err, errUnavailable) || errors.Is(err, errRetry) || errors.Is(err, errCommitUnknown) {
		unavailable := errs.Wrap(err, errs.Unavailable, "database_unavailable", "the database cannot be reached at the moment")
		unavailable.RetryAfter = retryAfter
		return unavailable
	}
	return err
}

// slogError describes an error without any value that a statement carried.
func slogError(err error) slog.Attr {
	var onServer *pgconn.PgError
	var inFile *sqlite.Error
	switch {
	case errors.As(err, &onServer):
		return slog.String("error", strings.TrimSpace("SQLSTATE "+onServer.Code+" "+onServer.ConstraintName))
	case errors.As(err, &inFile):
		return slog.String("error", fmt.Sprintf("sqlite code %d %s", inFile.Code(), sqliteConstraint(inFile.Error())))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errUnavailable):
		return slog.String("error", err.Error())
	default:
		for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
			err = next
		}
		return slog.String("error", fmt.Sprintf("%T", err))
	}
}
