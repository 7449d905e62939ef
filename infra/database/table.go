package database

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm/schema"
)

// column is one column of a row type, as the commit path reads and writes it without an ORM in between.
type column struct {
	name  string
	field []int
	kind  columnKind
}

// columnKind is how a column travels.
type columnKind uint8

const (
	kindID columnKind = iota
	kindText
	kindCount
	kindMoment
)

// arrayType is the column's type in unnest.
func (k columnKind) arrayType() string {
	return [...]string{"uuid[]", "text[]", "bigint[]", "timestamptz[]"}[k]
}

// elementOID is the type of one element, as PostgreSQL's catalog numbers it.
func (k columnKind) elementOID() uint32 {
	return [...]uint32{pgtype.UUIDOID, pgtype.TextOID, pgtype.Int8OID, pgtype.TimestamptzOID}[k]
}

// table is a row type's columns in the order of its fields.
type table struct {
	name    string
	columns []column
	// insertArrays inserts whole rows, on PostgreSQL: a parameter for each column.
	insertArrays string
}

var rowSchemas sync.Map // of gorm's parsed schemas

// tableOf reads the columns of a row type once. A field of a type that does not travel is a fault of the program.
func tableOf[R interface{ TableName() string }]() table {
	var row R
	parsed, err := schema.Parse(&row, &rowSchemas, schema.NamingStrategy{})
	if err != nil {
		panic(fmt.Sprintf("row type %T: %v", row, err))
	}
	t := table{name: row.TableName()}
	for _, f := range parsed.Fields {
		t.columns = append(t.columns, column{name: f.DBName, field: f.StructField.Index, kind: kindOf(f.FieldType)})
	}
	t.insertArrays = insertInto(t) + "SELECT * FROM unnest(" + arrayParams(t.columns) + ")"
	return t
}

func kindOf(t reflect.Type) columnKind {
	switch reflect.Zero(t).Interface().(type) {
	case uuid.UUID, nullID:
		return kindID
	case string, nullText:
		return kindText
	case int, int64, nullCount, sql.NullInt64:
		return kindCount
	case moment, time.Time:
		return kindMoment
	default:
		panic(fmt.Sprintf("type %s does not travel", t))
	}
}

// only is the table with the named columns alone.
func (t table) only(names ...string) table {
	kept := table{name: t.name}
	for _, name := range names {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
		if i < 0 {
			panic("table " + t.name + " has no column " + name)
		}
		kept.columns = append(kept.columns, t.columns[i])
	}
	return kept
}

// without is the table without the named column.
func (t table) without(name string) table {
	return t.only(slices.DeleteFunc(t.names(), func(other string) bool { return other == name })...)
}

func (t table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

func (t table) list() string { return strings.Join(t.names(), ", ") }

// fieldOf points to a row's column.
func (c column) fieldOf(row reflect.Value) any { return row.FieldByIndex(c.field).Addr().Interface() }

// values are one row's columns as database/sql binds them.
func values[R any](columns []column, row *R, args []any) []any {
	v := reflect.ValueOf(row).Elem()
	for _, c := range columns {
		switch field := c.fieldOf(v).(type) {
		case *uuid.UUID:
			args = append(args, field.String())
		case *string:
			args = append(args, *field)
		case *int:
			args = append(args, int64(*field))
		case *int64:
			args = append(args, *field)
		default:
			args = append(args, v.FieldByIndex(c.field).Interface())
		}
	}
	return args
}

// targets are pointers to a row's columns, for a scan.
func targets[R any](columns []column, row *R) []any {
	v := reflect.ValueOf(row).Elem()
	into := make([]any, len(columns))
	for i, c := range columns {
		into[i] = c.fieldOf(v)
	}
	return into
}
