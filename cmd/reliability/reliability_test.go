package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestEveryRowHasATestOrAReason: a row that nobody proves must say why, and a reason ends with the first test.
func TestEveryRowHasATestOrAReason(t *testing.T) {
	content, err := os.ReadFile(root + "/docs/faults.md")
	require.NoError(t, err)
	rows := catalogue(string(content))
	tests, err := scan(root)
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, r := range rows {
		assert.False(t, listed[r.number], "%s is listed twice", r.number)
		listed[r.number] = true
		tested, why := len(tests.of(r.number).tests) > 0, reasons[r.number]
		assert.True(t, tested || why != "", "%s (%s) has neither a test nor a reason in reasons.go", r.number, r.title)
		assert.False(t, tested && why != "", "%s has a test: take its reason out of reasons.go", r.number)
	}
	for n, e := range tests {
		assert.True(t, listed[n] || len(e.tests) == 0, "%v carry %s, which docs/faults.md does not list", e.tests, n)
	}
	for n := range reasons {
		assert.True(t, listed[n], "%s has a reason and is not in docs/faults.md", n)
	}
	for kind, last := range map[string]int{"F": 126, "I": 28, "S": 58} {
		for i := 1; i <= last; i++ {
			assert.True(t, listed[kind+itoa(i)], "docs/faults.md does not list %s%d", kind, i)
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestNumbersOfANames(t *testing.T) {
	for test, want := range map[string][]string{
		"TestF4_F59_Kill/sqlite/I3_x": {"F4", "F59", "I3"},
		"TestVerify/sqlite/I12_holds": {"I12"},
		"TestHouse_F1_x":              nil,
		"TestUTF8_x":                  nil,
		"F36_Again":                   {"F36"},
	} {
		assert.Equal(t, want, numbersOf(test), test)
	}
}

func TestTheTable(t *testing.T) {
	tests := evidences{}
	tests.of("F1").tests["TestF1_Lost"] = true
	require.NoError(t, tests.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestF1_Lost/sqlite/a"}
{"Action":"pass","Package":"p","Test":"TestF1_Lost/sqlite/b"}
{"Action":"pass","Package":"p","Test":"TestF1_Lost/sqlite"}
{"Action":"fail","Package":"p","Test":"TestF1_Lost/postgres"}
{"Action":"pass","Package":"p","Test":"TestF1_Lost"}
{"Action":"pass","Package":"q","Test":"TestI3_Sum"}
`)))
	tests.of("I3").tests["TestI3_Sum"] = true
	text := render([]row{{"F1", "Lost"}, {"F106", "Restored"}, {"I3", "Sum"}}, tests)
	assert.Contains(t, text, "2 of 3 rows have a test.")
	assert.Contains(t, text, "| F1 | Lost | `TestF1_Lost` | ok 2 | **failed 1**, ok 0 |  |")
	assert.Contains(t, text, "| F106 | Restored | none: "+reasons["F106"])
	assert.Contains(t, text, "| I3 | Sum | `TestI3_Sum` |  |  | ok 1 |")
}
