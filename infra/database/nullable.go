package database

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The columns that are NULL where the domain has a zero value. As plain values, rows can be compared with ==, and so a
// unit of work finds out what has changed.

// nullID is an id that is NULL where it is uuid.Nil.
type nullID uuid.UUID

// Value implements driver.Valuer.
func (n nullID) Value() (driver.Value, error) {
	if uuid.UUID(n) == uuid.Nil {
		return nil, nil
	}
	return uuid.UUID(n).String(), nil
}

// Scan implements sql.Scanner.
func (n *nullID) Scan(value any) error {
	*n = nullID{}
	return (*uuid.UUID)(n).Scan(value)
}

// nullText is a text that is NULL where it is empty.
type nullText string

// Value implements driver.Valuer.
func (n nullText) Value() (driver.Value, error) {
	if n == "" {
		return nil, nil
	}
	return string(n), nil
}

// Scan implements sql.Scanner.
func (n *nullText) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*n = ""
	case string:
		*n = nullText(v)
	case []byte:
		*n = nullText(v)
	default:
		return fmt.Errorf("read a text from %T", value)
	}
	return nil
}

// nullCount is a number that is NULL where it is 0: an amount, a sequence number, an HTTP status.
type nullCount int64

// Value implements driver.Valuer.
func (n nullCount) Value() (driver.Value, error) {
	if n == 0 {
		return nil, nil
	}
	return int64(n), nil
}

// Scan implements sql.Scanner.
func (n *nullCount) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*n = 0
	case int64:
		*n = nullCount(v)
	case string:
		number, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("read a number: %w", err)
		}
		*n = nullCount(number)
	default:
		return fmt.Errorf("read a number from %T", value)
	}
	return nil
}

// moment is a time in UTC and microseconds, NULL where it is zero. It is a struct around the time and no time, because gorm
// would fill in a field that it takes for one.
type moment struct{ at time.Time }

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{at: t.UTC().Truncate(time.Microsecond)}
}

// Value implements driver.Valuer.
func (m moment) Value() (driver.Value, error) {
	if m.at.IsZero() {
		return nil, nil
	}
	return m.at, nil
}

// sqliteTime is how the driver writes times; it reads them back as times only from columns whose type it is told, and
// after RETURNING it is not.
const sqliteTime = "2006-01-02 15:04:05.999999999-07:00"

// text is the time as both databases read it, nil where it is zero.
func (m moment) text() any {
	if m.at.IsZero() {
		return nil
	}
	return m.at.Format(sqliteTime)
}

// Scan implements sql.Scanner.
func (m *moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*m = moment{}
	case time.Time:
		*m = momentOf(v)
	case string:
		at, err := time.Parse(sqliteTime, v)
		if err != nil {
			return fmt.Errorf("read a time: %w", err)
		}
		*m = momentOf(at)
	default:
		return fmt.Errorf("read a time from %T", value)
	}
	return nil
}
