// Package sqlitedialect lets gorm speak to SQLite through modernc.org/sqlite. It builds no schema: goose owns the
// tables, so the migrator is absent and AutoMigrate must not be called.
package sqlitedialect

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Dialector is a gorm.Dialector over an open pool.
type Dialector struct {
	Pool gorm.ConnPool
}

// Name is "sqlite".
func (Dialector) Name() string { return "sqlite" }

// Initialize hands gorm the pool and the clauses that SQLite knows. Rows are never locked one by one: BEGIN IMMEDIATE
// has already locked the file, so the FOR clause builds to nothing.
func (d Dialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.Pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	db.ClauseBuilders["FOR"] = func(clause.Clause, clause.Builder) {}
	return nil
}

// Migrator is absent: goose owns the schema.
func (Dialector) Migrator(*gorm.DB) gorm.Migrator { return nil }

// DataTypeOf names the column type of a field, as the migrations do.
func (Dialector) DataTypeOf(field *schema.Field) string {
	switch field.DataType {
	case schema.Bool, schema.Int, schema.Uint:
		return "integer"
	case schema.String:
		return "text"
	case schema.Time:
		return "timestamp"
	case schema.Bytes:
		return "blob"
	default:
		return string(field.DataType)
	}
}

// DefaultValueOf stands for a column that the insert leaves out.
func (Dialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// BindVarTo writes a bare "?", because the driver looks numbered parameters up one by one. Times are cut to
// microseconds on the way, so that a value read back equals the one written, as on PostgreSQL.
func (Dialector) BindVarTo(writer clause.Writer, stmt *gorm.Statement, value any) {
	if last := len(stmt.Vars) - 1; last >= 0 {
		stmt.Vars[last] = microseconds(stmt.Vars[last])
	}
	_ = writer.WriteByte('?')
}

func microseconds(value any) any {
	switch v := value.(type) {
	case time.Time:
		return v.UTC().Truncate(time.Microsecond)
	case *time.Time:
		if v == nil {
			return nil
		}
		return v.UTC().Truncate(time.Microsecond)
	case driver.Valuer:
		if plain, err := v.Value(); err == nil {
			if t, ok := plain.(time.Time); ok {
				return t.UTC().Truncate(time.Microsecond)
			}
		}
	}
	return value
}

// QuoteTo writes an identifier in double quotes, each part of a dotted name on its own.
func (Dialector) QuoteTo(writer clause.Writer, name string) {
	for i, part := range strings.Split(name, ".") {
		if i > 0 {
			_ = writer.WriteByte('.')
		}
		if part == "*" {
			_ = writer.WriteByte('*')
			continue
		}
		_, _ = writer.WriteString(`"` + strings.ReplaceAll(part, `"`, `""`) + `"`)
	}
}

// Explain renders a statement for the log, without its values: they may be secret.
func (Dialector) Explain(sql string, _ ...any) string { return sql }

// SavePoint opens a savepoint in the running transaction.
func (Dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo undoes everything since the savepoint.
func (Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}

// Translate joins gorm's own error to the driver's, which stays in the chain.
func (Dialector) Translate(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	default:
		return err
	}
}
