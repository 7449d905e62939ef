package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// txLimit bounds a transaction that outlives its caller's context; the server's own timeouts end it much earlier.
const txLimit = 30 * time.Second

// inTx runs fn in one transaction of the writer. An error or a panic of fn rolls back; the error comes back classified, with
// fn's own error in its chain. When COMMIT itself fails, errCommitUnknown says that it may have taken effect; any other
// error is a definite rollback. Statements end with ctx, the commit does not: it is sent when ctx is alive, and then its
// answer is waited for.
func (db *DB) inTx(ctx context.Context, fn func(tx *gorm.DB) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	lifetime, cancel := context.WithTimeout(context.WithoutCancel(ctx), txLimit)
	defer cancel()
	begun := db.writer.WithContext(lifetime).Begin()
	if begun.Error != nil {
		return classify(begun.Error)
	}
	committed := false
	defer func() {
		if !committed {
			begun.Rollback()
		}
	}()
	if err := fn(begun.WithContext(ctx)); err != nil {
		return classify(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	committed = true // whatever comes of it, there is nothing left to roll back
	return commitOutcome(begun.Commit().Error)
}

// unhurried ends the condition of a statement in a transaction whose loss does no harm: its commit does not wait for the disk.
// Only a database that is killed loses one, of its last second, and with it all that were committed later; so it is for work that
// is then done again. SQLite cannot do that for one transaction among others.
func (db *DB) unhurried() string {
	if db.dialect == Postgres {
		return " AND set_config('synchronous_commit', 'off', true) = 'off'"
	}
	return ""
}

// commitOutcome tells a transaction that is gone from one that may have been committed. It serves whoever sends COMMIT himself.
//
// pgconn.SafeToRetry is no help: pgx reports a connection that broke after COMMIT was sent as "conn closed", and calls
// that safe. So a transaction is gone only where the database said so, or where COMMIT never left.
func commitOutcome(err error) error {
	if err == nil {
		return nil
	}
	var onServer *pgconn.PgError
	var inFile *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, pgx.ErrTxClosed), errors.Is(err, pgx.ErrTxCommitRollback):
		return classify(err)
	case errors.As(err, &onServer) && onServer.SeverityUnlocalized == "ERROR":
		return classify(err)
	case onServer != nil && onServer.Code == "25P03":
		// The session was ended for being idle, so it had not seen COMMIT, and its transaction is gone.
		return classify(err)
	case errors.As(err, &inFile) && inFile.Code()&0xff != sqlite3.SQLITE_IOERR:
		return classify(err)
	default:
		// The connection broke, or the disk failed after the commit record was written: it may be found after a restart.
		return fmt.Errorf("%w: %w", errCommitUnknown, err)
	}
}
