package database

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"gorm.io/gorm/schema"
)

// column is one column of a row type, as the commit path reads and writes it without an ORM in between.
type column struct {
	name  string
	field []int
}

// table is a row type's columns in the order of its fields.
type table struct {
	name    string
	columns []column
}

var rowSchemas sync.Map // of gorm's parsed schemas

// tableOf reads the columns of a row type once.
func tableOf[R interface{ TableName() string }]() table {
	var row R
	parsed, err := schema.Parse(&row, &rowSchemas, schema.NamingStrategy{})
	if err != nil {
		panic(fmt.Sprintf("row type %T: %v", row, err))
	}
	t := table{name: row.TableName()}
	for _, f := range parsed.Fields {
		t.columns = append(t.columns, column{name: f.DBName, field: f.StructField.Index})
	}
	return t
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
