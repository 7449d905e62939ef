package database

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgRecords are rows of a table as PostgreSQL's array of the table's row type, in binary form (array_recv and record_recv in
// the server's source). One such array for all rows is taken in eight times as fast as an array for each column: the
// server builds a table for every array that it unnests.
type pgRecords []byte

// pgLayout is how the server has laid out the tables that a commit writes.
type pgLayout struct {
	tables map[string]*pgTable
}

// pgTable is a table as the server knows it. Columns that a newer program has added are among its attributes; they are
// named in no statement and keep their defaults.
type pgTable struct {
	record, array uint32 // the types of a row and of an array of rows
	attributes    []pgAttribute
	insert        string // all columns that this program knows, from one array of rows
	update        string // from an array of rows as they are to be and one of how they were loaded
}

type pgAttribute struct {
	name   string
	oid    uint32
	column int // of the row type, -1 where this program does not know it
}

// pgTables are the tables that a commit writes, with how their rows are changed.
var pgTables = []struct {
	table  table
	update update
}{
	{table: transactionTable, update: transactionUpdate}, {table: accountTable, update: accountUpdate}, {table: holdTable, update: holdUpdate},
	{table: keyTable, update: keyUpdate}, {table: inboxTable, update: inboxUpdate}, {table: effectTable}, {table: entryTable},
	{table: eventTable}, {table: reviewTable, update: reviewUpdate}, {table: deadLetterTable}, {table: providerCallTable}, {table: auditTable},
}

// layoutOn reads the layout from the server's catalog, once for a process: a table's types are the same on every connection.
func (db *DB) layoutOn(ctx context.Context, conn *pgx.Conn) (*pgLayout, error) {
	l := db.layout.Load()
	if l == nil {
		var err error
		if l, err = readLayout(ctx, conn); err != nil {
			return nil, err
		}
		db.layout.Store(l)
	}
	l.teach(conn.TypeMap())
	return l, nil
}

func readLayout(ctx context.Context, conn *pgx.Conn) (*pgLayout, error) {
	l := &pgLayout{tables: map[string]*pgTable{}}
	for _, t := range pgTables {
		rows, err := conn.Query(ctx, `SELECT c.reltype, y.typarray, a.attname, a.atttypid FROM pg_class c
			JOIN pg_type y ON y.oid = c.reltype JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			WHERE c.oid = to_regclass($1) ORDER BY a.attnum`, t.table.name)
		if err != nil {
			return nil, err
		}
		laid := &pgTable{}
		names := t.table.names()
		var a pgAttribute
		_, err = pgx.ForEachRow(rows, []any{&laid.record, &laid.array, &a.name, &a.oid}, func() error {
			a.column = slices.Index(names, a.name)
			laid.attributes = append(laid.attributes, a)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("layout of %s: %w", t.table.name, err)
		}
		laid.insert = insertInto(t.table) + "SELECT " + strings.Join(prefixed("v.", t.table.columns), ", ") + " FROM unnest($1::" + t.table.name + "[]) AS v"
		laid.update = t.update.fromRecords(t.table.name, laid.attributes)
		l.tables[t.table.name] = laid
	}
	return l, nil
}

// fromRecords changes rows. A row whose guard fits no longer makes the statement divide by zero, which takes the whole
// transaction back in the same round trip.
func (u update) fromRecords(name string, attributes []pgAttribute) string {
	if len(u.key.columns) == 0 {
		return ""
	}
	now, was := make([]string, len(attributes)), make([]string, len(attributes))
	for i, a := range attributes {
		now[i], was[i] = a.name, "was_"+a.name
	}
	guards := make([]string, len(u.guard.columns))
	for i, c := range u.guard.columns {
		guards[i] = fmt.Sprintf("t.%s IS NOT DISTINCT FROM v.was_%s", c.name, c.name)
	}
	key := u.key.columns[0].name
	return fmt.Sprintf(`WITH written AS (UPDATE %[1]s AS t SET %[2]s
			FROM ROWS FROM (unnest($1::%[1]s[]), unnest($2::%[1]s[])) AS v(%[3]s) WHERE t.%[4]s = v.%[4]s AND %[5]s RETURNING 1)
		SELECT 1 / (CASE WHEN (SELECT COUNT(*) FROM written) = cardinality($1::%[1]s[]) THEN 1 ELSE 0 END)`,
		name, assignments(u.moving.columns, "v."), strings.Join(append(now, was...), ", "), key, strings.Join(guards, " AND "))
}

// teach makes a connection take pgRecords for the tables' types.
func (l *pgLayout) teach(types *pgtype.Map) {
	for name, t := range l.tables {
		if _, known := types.TypeForOID(t.array); known {
			continue
		}
		types.RegisterType(&pgtype.Type{Name: "_" + name, OID: t.array, Codec: recordsCodec{}})
	}
}

// recordsCodec sends pgRecords as they are. Nothing is read in such a type.
type recordsCodec struct{ pgtype.TextCodec }

// FormatSupported implements pgtype.Codec.
func (recordsCodec) FormatSupported(format int16) bool { return format == pgtype.BinaryFormatCode }

// PreferredFormat implements pgtype.Codec.
func (recordsCodec) PreferredFormat() int16 { return pgtype.BinaryFormatCode }

// PlanEncode implements pgtype.Codec.
func (recordsCodec) PlanEncode(_ *pgtype.Map, _ uint32, _ int16, value any) pgtype.EncodePlan {
	if _, ready := value.(pgRecords); !ready {
		return nil
	}
	return encodedPlan{}
}

type encodedPlan struct{}

// Encode implements pgtype.EncodePlan.
func (encodedPlan) Encode(value any, to []byte) ([]byte, error) {
	return append(to, value.(pgRecords)...), nil
}

// appendRecords encodes the rows. A dimension, whether NULLs are in it, the type of the elements, their number and the lower bound
// stand before them; each row is its length, the number of its attributes, and of each the type, the length and the value.
func appendRecords[R any](to pgRecords, columns []column, laid *pgTable, rows []R) pgRecords {
	for _, n := range []int{1, 0, int(laid.record), len(rows), 1} {
		to = appendInt(to, n)
	}
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		start := len(to)
		to = appendInt(appendInt(to, 0), len(laid.attributes))
		for _, a := range laid.attributes {
			to = binary.BigEndian.AppendUint32(to, a.oid)
			if a.column < 0 {
				to = appendNull(to)
				continue
			}
			to = appendValue(to, a.oid, columns[a.column].fieldOf(row))
		}
		binary.BigEndian.PutUint32(to[start:], uint32(len(to)-start-4)) //nolint:gosec // a row is bounded by the edge
	}
	return to
}

func appendValue(to pgRecords, oid uint32, field any) pgRecords {
	switch v := field.(type) {
	case *uuid.UUID:
		return append(appendInt(to, len(v)), v[:]...)
	case *nullID:
		if *v == (nullID{}) {
			return appendNull(to)
		}
		return append(appendInt(to, len(v)), v[:]...)
	case *string:
		return append(appendInt(to, len(*v)), *v...)
	case *nullText:
		if *v == "" {
			return appendNull(to)
		}
		return append(appendInt(to, len(*v)), *v...)
	case *int:
		return appendCount(to, oid, int64(*v), true)
	case *int64:
		return appendCount(to, oid, *v, true)
	case *nullCount:
		return appendCount(to, oid, int64(*v), *v != 0)
	case *sql.NullInt64:
		return appendCount(to, oid, v.Int64, v.Valid)
	case *moment:
		return appendMoment(to, v.at)
	case *time.Time:
		return appendMoment(to, momentOf(*v).at)
	default:
		panic(fmt.Sprintf("type %T does not travel", field))
	}
}

func appendInt(to pgRecords, n int) pgRecords {
	return binary.BigEndian.AppendUint32(to, uint32(n)) //nolint:gosec // lengths, and two's complement, as they travel
}

func appendNull(to pgRecords) pgRecords { return appendInt(to, -1) }

// appendCount writes a number as wide as its column is.
func appendCount(to pgRecords, oid uint32, n int64, valid bool) pgRecords {
	switch {
	case !valid:
		return appendNull(to)
	case oid == pgtype.Int2OID:
		return binary.BigEndian.AppendUint16(appendInt(to, 2), uint16(n)) //nolint:gosec // the column's width
	case oid == pgtype.Int4OID:
		return appendInt(appendInt(to, 4), int(n))
	default:
		return binary.BigEndian.AppendUint64(appendInt(to, 8), uint64(n)) //nolint:gosec // two's complement, as it travels
	}
}

// pgEpoch is the server's 0, 2000-01-01, in Unix microseconds.
const pgEpoch = 946_684_800_000_000

func appendMoment(to pgRecords, at time.Time) pgRecords {
	return appendCount(to, pgtype.Int8OID, at.UnixMicro()-pgEpoch, !at.IsZero())
}
