package database

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgArray is a column of rows as PostgreSQL's array in binary form: dimensions, whether NULLs are in it, the type of its
// elements, its length and lower bound, and then each element behind its length (array_recv in the server's
// arrayfuncs.c). pgx would make an interface value of every element on the way there, which was a quarter of the time of a commit.
type pgArray []byte

// arrays are the rows as one array per column.
func arrays[R any](columns []column, rows []R) []any {
	args := make([]any, len(columns))
	for i, c := range columns {
		args[i] = arrayOf(c, rows)
	}
	return args
}

// elementSizes are the bytes that an element takes, its length included; of a text it is a guess.
var elementSizes = [...]int{kindID: 20, kindText: 40, kindCount: 12, kindMoment: 12}

func arrayOf[R any](c column, rows []R) pgArray {
	to := make(pgArray, 0, 20+len(rows)*elementSizes[c.kind])
	for _, n := range []uint32{1, 1, c.kind.elementOID(), uint32(len(rows)), 1} { //nolint:gosec // a batch is short
		to = binary.BigEndian.AppendUint32(to, n)
	}
	for i := range rows {
		to = appendElement(to, c.fieldOf(reflect.ValueOf(&rows[i]).Elem()))
	}
	return to
}

func appendElement(to pgArray, field any) pgArray {
	switch v := field.(type) {
	case *uuid.UUID:
		return append(appendLength(to, len(v)), v[:]...)
	case *nullID:
		if *v == (nullID{}) {
			return appendNull(to)
		}
		return append(appendLength(to, len(v)), v[:]...)
	case *string:
		return append(appendLength(to, len(*v)), *v...)
	case *nullText:
		if *v == "" {
			return appendNull(to)
		}
		return append(appendLength(to, len(*v)), *v...)
	case *int:
		return appendCount(to, int64(*v), true)
	case *int64:
		return appendCount(to, *v, true)
	case *nullCount:
		return appendCount(to, int64(*v), *v != 0)
	case *sql.NullInt64:
		return appendCount(to, v.Int64, v.Valid)
	case *moment:
		return appendMoment(to, v.at)
	case *time.Time:
		return appendMoment(to, momentOf(*v).at)
	default:
		panic(fmt.Sprintf("type %T does not travel", field))
	}
}

func appendLength(to pgArray, n int) pgArray {
	return binary.BigEndian.AppendUint32(to, uint32(n)) //nolint:gosec // a text is bounded by the edge
}

func appendNull(to pgArray) pgArray { return binary.BigEndian.AppendUint32(to, ^uint32(0)) }

func appendCount(to pgArray, n int64, valid bool) pgArray {
	if !valid {
		return appendNull(to)
	}
	return binary.BigEndian.AppendUint64(appendLength(to, 8), uint64(n)) //nolint:gosec // two's complement, as it travels
}

// pgEpoch is the server's 0, 2000-01-01, in Unix microseconds.
const pgEpoch = 946_684_800_000_000

func appendMoment(to pgArray, at time.Time) pgArray {
	return appendCount(to, at.UnixMicro()-pgEpoch, !at.IsZero())
}

// pgArrayCodec is pgx's codec of an array type, which also takes a pgArray as it is.
type pgArrayCodec struct{ *pgtype.ArrayCodec }

// PlanEncode implements pgtype.Codec.
func (c pgArrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ready := value.(pgArray); ready && format == pgtype.BinaryFormatCode {
		return encodedPlan{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type encodedPlan struct{}

// Encode implements pgtype.EncodePlan.
func (encodedPlan) Encode(value any, to []byte) ([]byte, error) {
	return append(to, value.(pgArray)...), nil
}

// prepareConnection teaches a new connection to read times in UTC, the same on every machine, and to send arrays that are
// encoded already.
func prepareConnection(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	types.RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	for _, array := range []struct {
		name         string
		oid, element uint32
	}{
		{"_uuid", pgtype.UUIDArrayOID, pgtype.UUIDOID},
		{"_text", pgtype.TextArrayOID, pgtype.TextOID},
		{"_int8", pgtype.Int8ArrayOID, pgtype.Int8OID},
		{"_timestamptz", pgtype.TimestamptzArrayOID, pgtype.TimestamptzOID},
	} {
		element, ok := types.TypeForOID(array.element)
		if !ok {
			return fmt.Errorf("type %d is not known", array.element)
		}
		types.RegisterType(&pgtype.Type{Name: array.name, OID: array.oid, Codec: pgArrayCodec{&pgtype.ArrayCodec{ElementType: element}}})
	}
	return nil
}
