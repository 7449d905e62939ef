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
	Violations []Violation // at most 20
	Elapsed    time.Duration
}

// Violation is a row that must not be.
type Violation struct {
	Text string // the row as "column=value …"
	// AccountID and TransactionID are what the row is about, uuid.Nil where it is about neither.
	AccountID, TransactionID uuid.UUID
}

// Lines is what the violations say.
func (c Check) Lines() []string {
	lines := make([]string, len(c.Violations))
	for i, v := range c.Violations {
		lines[i] = v.Text
	}
	return lines
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

// invariant looks for what must not be.
type invariant struct {
	id, name string
	find     search
}

// search returns what it found, at most maxViolations of it.
type search func(v view) ([]Violation, error)

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
	err := db.longSnapshot(ctx, func(tx *gorm.DB) error {
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

// snapshot runs fn on one unchanging view of the database.
func (db *DB) snapshot(ctx context.Context, fn func(tx *gorm.DB) error) error {
	reader := db.Reader().WithContext(ctx)
	if db.dialect == SQLite {
		return reader.Transaction(fn)
	}
	return reader.Transaction(fn, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// longSnapshot is a snapshot of which no statement is cut short by the timeouts of the request path.
func (db *DB) longSnapshot(ctx context.Context, fn func(tx *gorm.DB) error) error {
	if db.dialect == SQLite {
		return db.snapshot(ctx, fn)
	}
	return db.snapshot(ctx, func(tx *gorm.DB) error {
		for _, timeout := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
			if err := tx.Exec("SET LOCAL " + timeout + " = 0").Error; err != nil {
				return err
			}
		}
		return fn(tx)
	})
}

// none is the invariant that the queries return no row. Each "?" of a query is a time as long ago as the next of ages.
// Columns that are named account_id and transaction_id say what a row is about.
func none(query string, ages ...time.Duration) search {
	return func(v view) ([]Violation, error) {
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
func all(finds ...search) search {
	return func(v view) ([]Violation, error) {
		var violations []Violation
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

// describe makes a violation of each row.
func describe(rows *sql.Rows) ([]Violation, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var violations []Violation
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		var v Violation
		parts := make([]string, len(columns))
		for i, column := range columns {
			value := plainValue(values[i])
			parts[i] = fmt.Sprintf("%s=%s", column, value)
			// What is no id, and NULL, leaves uuid.Nil.
			switch column {
			case "account_id":
				v.AccountID, _ = uuid.Parse(value)
			case "transaction_id":
				v.TransactionID, _ = uuid.Parse(value)
			}
		}
		v.Text = strings.Join(parts, " ")
		violations = append(violations, v)
	}
	return violations, rows.Err()
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
