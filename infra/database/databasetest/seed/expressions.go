package seed

import (
	"fmt"

	"github.com/google/uuid"
)

// expressions are what the two databases say in different words. Arguments and results are SQL; sec is in Unix seconds.
type expressions interface {
	// series is a derived table with the column n, from first to last.
	series(first, last int) string
	// id is the id of a part and a number, as the function of that name makes it.
	id(sec string, part int, number string) string
	// hash is an id that looks like chance, one for each number.
	hash(number string) string
	// at is a time, rfc3339 its text.
	at(sec string) string
	rfc3339(sec string) string
	// either is the first id on deposits, the second on withdrawals.
	either(deposit, withdrawal uuid.UUID) string
	// whole makes a sum an integer.
	whole(sum string) string
	// finish is what follows when all is written. The planner is to know the books, and nothing is to vacuum them while they
	// are measured.
	finish() []string
}

// scattered is a number below 2^32 for each number, far from that of the one before.
func scattered(number string) string { return "(" + number + ") * 2654435761 % 4294967296" }

type postgres struct{}

func (postgres) series(first, last int) string {
	return fmt.Sprintf("generate_series(%d::bigint, %d::bigint) AS series (n)", first, last)
}

func (postgres) id(sec string, part int, number string) string {
	return fmt.Sprintf("CAST(lpad(to_hex(1000 * (%s)), 12, '0') || '7%03x8' || lpad(to_hex(%s), 15, '0') AS uuid)", sec, part, number)
}

func (postgres) hash(number string) string {
	return fmt.Sprintf("CAST(lpad(to_hex(%s), 8, '0') || lpad(to_hex(%s), 24, '0') AS uuid)", scattered(number), number)
}

func (postgres) at(sec string) string { return "to_timestamp(" + sec + ")" }

func (postgres) rfc3339(sec string) string {
	return `to_char(to_timestamp(` + sec + `) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
}

func (postgres) either(deposit, withdrawal uuid.UUID) string {
	return fmt.Sprintf("CAST(CASE type WHEN 'deposit' THEN '%s' ELSE '%s' END AS uuid)", deposit, withdrawal)
}

func (postgres) whole(sum string) string { return "CAST(" + sum + " AS bigint)" }

func (postgres) finish() []string {
	return []string{"SELECT setval(pg_get_serial_sequence('event_batches', 'id'), (SELECT MAX(id) FROM event_batches))", "VACUUM (ANALYZE)"}
}

type sqlite struct{}

func (sqlite) series(first, last int) string {
	return fmt.Sprintf("(WITH RECURSIVE numbers (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM numbers WHERE n < %d) SELECT n FROM numbers) AS series", first, last)
}

func (sqlite) id(sec string, part int, number string) string {
	return fmt.Sprintf("printf('%%08x-%%04x-7%03x-8000-%%012x', 1000 * (%[2]s) / 65536, 1000 * (%[2]s) %% 65536, %[3]s)", part, sec, number)
}

func (sqlite) hash(number string) string {
	return fmt.Sprintf("printf('%%08x-0000-0000-0000-%%012x', %s, %s)", scattered(number), number)
}

// at writes what the driver writes for a whole second.
func (sqlite) at(sec string) string {
	return "strftime('%Y-%m-%d %H:%M:%S+00:00', " + sec + ", 'unixepoch')"
}

func (sqlite) rfc3339(sec string) string {
	return "strftime('%Y-%m-%dT%H:%M:%SZ', " + sec + ", 'unixepoch')"
}

func (sqlite) either(deposit, withdrawal uuid.UUID) string {
	return fmt.Sprintf("CASE type WHEN 'deposit' THEN '%s' ELSE '%s' END", deposit, withdrawal)
}

func (sqlite) whole(sum string) string { return sum }

func (sqlite) finish() []string { return []string{"ANALYZE"} }
