package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const preface = `# What is proved, row by row

Made by ` + "`make reliability`" + ` from a run of all tests; do not edit. The rows are those of [faults.md](faults.md). "ok 4" is four tests
that passed, on that database or on none. A row without a test says why.

`

// render writes the document.
func render(rows []row, tests evidences) string {
	var b strings.Builder
	b.WriteString(preface)
	proved := 0
	for _, r := range rows {
		if len(tests.of(r.number).tests) > 0 {
			proved++
		}
	}
	fmt.Fprintf(&b, "%d of %d rows have a test.\n", proved, len(rows))
	last := ""
	for _, r := range rows {
		if kind := r.number[:1]; kind != last {
			last = kind
			fmt.Fprintf(&b, "\n## %s\n\n| row | what | tests | SQLite | PostgreSQL | no database |\n|---|---|---|---|---|---|\n",
				map[string]string{"F": "Faults", "I": "Invariants", "S": "Security rules"}[kind])
		}
		b.WriteString(line(r, tests.of(r.number)))
	}
	return b.String()
}

func line(r row, e *evidence) string {
	if len(e.tests) == 0 {
		return fmt.Sprintf("| %s | %s | none: %s | | | |\n", r.number, r.title, reasons[r.number])
	}
	names := slices.Sorted(maps.Keys(e.tests))
	for i, name := range names {
		names[i] = "`" + name + "`"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", r.number, r.title, strings.Join(names, "<br>"), e.sqlite, e.postgres, e.nothing)
}

// String is how the outcome is told, "" where nothing ran.
func (o outcome) String() string {
	switch {
	case o.failed > 0:
		return fmt.Sprintf("**failed %d**, ok %d", o.failed, o.passed)
	case o.passed > 0:
		return fmt.Sprintf("ok %d", o.passed)
	default:
		return ""
	}
}
