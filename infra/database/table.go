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

// table is a row type's columns in the order of its fields.
type table struct {
	name    string
	columns []column
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

func (t table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

func (t table) list() string { return strings.Join(t.names(), ", ") }

// arrays are the rows as one typed array per column, which pgx sends in binary form.
func arrays[R any](columns []column, rows []R) []any {
	args := make([]any, len(columns))
	for i, c := range columns {
		switch c.kind {
		case kindID:
			args[i] = fill(rows, c, idOf)
		case kindText:
			args[i] = fill(rows, c, textOf)
		case kindCount:
			args[i] = fill(rows, c, countOf)
		default:
			args[i] = fill(rows, c, momentIn)
		}
	}
	return args
}

func fill[R, V any](rows []R, c column, value func(reflect.Value) V) []V {
	values := make([]V, len(rows))
	for i := range rows {
		values[i] = value(reflect.ValueOf(&rows[i]).Elem().FieldByIndex(c.field))
	}
	return values
}

func idOf(v reflect.Value) pgtype.UUID {
	switch id := v.Interface().(type) {
	case uuid.UUID:
		return pgtype.UUID{Bytes: id, Valid: true}
	case nullID:
		return pgtype.UUID{Bytes: id, Valid: uuid.UUID(id) != uuid.Nil}
	default:
		panic("not an id")
	}
}

func textOf(v reflect.Value) pgtype.Text {
	_, nullable := v.Interface().(nullText)
	text := v.String()
	return pgtype.Text{String: text, Valid: !nullable || text != ""}
}

func countOf(v reflect.Value) pgtype.Int8 {
	switch n := v.Interface().(type) {
	case sql.NullInt64:
		return pgtype.Int8{Int64: n.Int64, Valid: n.Valid}
	case nullCount:
		return pgtype.Int8{Int64: int64(n), Valid: n != 0}
	default:
		return pgtype.Int8{Int64: v.Int(), Valid: true}
	}
}

func momentIn(v reflect.Value) pgtype.Timestamptz {
	m, ok := v.Interface().(moment)
	if !ok {
		m = momentOf(v.Interface().(time.Time))
	}
	return pgtype.Timestamptz{Time: m.at, Valid: !m.at.IsZero()}
}

// values are one row's columns as database/sql binds them.
func values[R any](columns []column, row *R, args []any) []any {
	v := reflect.ValueOf(row).Elem()
	for _, c := range columns {
		field := v.FieldByIndex(c.field).Interface()
		if id, ok := field.(uuid.UUID); ok {
			field = id.String()
		}
		args = append(args, field)
	}
	return args
}

// targets are pointers to a row's columns, for a scan.
func targets[R any](columns []column, row *R) []any {
	v := reflect.ValueOf(row).Elem()
	into := make([]any, len(columns))
	for i, c := range columns {
		into[i] = v.FieldByIndex(c.field).Addr().Interface()
	}
	return into
}
