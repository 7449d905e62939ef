package database

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// maxViolations bounds what a check reports: one is enough to act, and a broken book could have millions.
const maxViolations = 20

// Check is an invariant of the books and what breaks it. There is nothing to break in sound books.
type Check struct {
	ID         string // "I1", as in docs
	Name       string
	Violations []string // at most 20, each a row as "column=value …"
	Elapsed    time.Duration
}

// OK says that the invariant holds.
func (c Check) OK() bool { return len(c.Violations) == 0 }

// Broken is the checks that found violations.
func Broken(checks []Check) []Check {
	var broken []Check
	for _, c := range checks {
		if !c.OK() {
			broken = append(broken, c)
		}
	}
	return broken
}

// invariant looks for what must not be. find returns one line for each violation.
type invariant struct {
	id, name string
	find     func(v view) ([]string, error)
}

// view is the snapshot that is verified. now is what ages are measured against.
type view struct {
	tx      *gorm.DB
	dialect Dialect
	now     time.Time
}

// Verify checks every invariant on one snapshot of the books, so that it may run beside any traffic. It changes nothing. now
// is what ages are measured against; progress, when not nil, is called after each check. The error is that of looking,
// errs.Unavailable where the database is down; a violation is no error.
func Verify(ctx context.Context, db *DB, now time.Time, progress func(done, total int)) ([]Check, error) {
	invariants := allInvariants()
	checks := make([]Check, 0, len(invariants))
	err := db.inSnapshot(ctx, func(tx *gorm.DB) error {
		for i, inv := range invariants {
			started := time.Now()
			violations, err := inv.find(view{tx: tx, dialect: db.dialect, now: now})
			if err != nil {
				return fmt.Errorf("%s: %w", inv.id, err)
			}
			checks = append(checks, Check{ID: inv.id, Name: inv.name, Violations: violations, Elapsed: time.Since(started)})
			if progress != nil {
				progress(i+1, len(invariants))
			}
		}
		return nil
	})
	if err != nil {
		return nil, toErrs("verify", err)
	}
	return checks, nil
}

// inSnapshot runs fn on one unchanging view of the database. No statement of it is cut short by the timeouts of the
// request path.
func (db *DB) inSnapshot(ctx context.Context, fn func(tx *gorm.DB) error) error {
	reader := db.Reader().WithContext(ctx)
	if db.dialect == SQLite {
		return reader.Transaction(fn)
	}
	return reader.Transaction(func(tx *gorm.DB) error {
		for _, timeout := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
			if err := tx.Exec("SET LOCAL " + timeout + " = 0").Error; err != nil {
				return err
			}
		}
		return fn(tx)
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// none is the invariant that the queries return no row. Each "?" of a query is a time as long ago as the next of ages.
func none(query string, ages ...time.Duration) func(v view) ([]string, error) {
	return func(v view) ([]string, error) {
		args := make([]any, 0, len(ages)+1)
		for _, age := range ages {
			args = append(args, momentOf(v.now.Add(-age)))
		}
		rows, err := v.tx.Raw(query+" LIMIT ?", append(args, maxViolations)...).Rows()
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		return describe(rows)
	}
}

// all is several searches under one name.
func all(finds ...func(v view) ([]string, error)) func(v view) ([]string, error) {
	return func(v view) ([]string, error) {
		var violations []string
		for _, find := range finds {
			more, err := find(v)
			if err != nil {
				return nil, err
			}
			violations = append(violations, more...)
		}
		return violations[:min(len(violations), maxViolations)], nil
	}
}

// describe writes each row as "column=value …".
func describe(rows *sql.Rows) ([]string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		parts := make([]string, len(columns))
		for i, column := range columns {
			parts[i] = fmt.Sprintf("%s=%s", column, plainValue(values[i]))
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return lines, rows.Err()
}

func plainValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case [16]byte:
		return uuid.UUID(v).String()
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}
