package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReportCountsLeavesAndDatabases(t *testing.T) {
	t.Parallel()
	events := `
{"Action":"output","Package":"p","Test":"TestA/sqlite","Output":"noise of a success\n"}
{"Action":"pass","Package":"p","Test":"TestA/sqlite"}
{"Action":"output","Package":"p","Test":"TestA/postgres","Output":"why it failed\n"}
{"Action":"fail","Package":"p","Test":"TestA/postgres"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Test":"TestD/x"}
{"Action":"output","Package":"p","Test":"TestD","Output":"after its subtests\n"}
{"Action":"fail","Package":"p","Test":"TestD"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: broken\n"}
{"Action":"output","Package":"q","Output":"FAIL q [build failed]\n"}
{"Action":"fail","Package":"q","Elapsed":0,"FailedBuild":"q"}
{"Action":"start","Package":"r"}
{"Action":"pass","Package":"r","Test":"TestE/sqlite"}
{"Action":"pass","Package":"r","Test":"TestE/postgres"}
{"Action":"pass","Package":"r","Test":"TestE"}
{"Action":"pass","Package":"r","Elapsed":0.25}
no event
`
	var out strings.Builder
	report := newReport(&out)
	var kept strings.Builder
	report.kept = json.NewEncoder(&kept)
	require.NoError(t, report.read(strings.NewReader(events)))
	report.close()
	text := out.String()
	require.Contains(t, text, "\ntests: 5 passed, 3 failed, 1 skipped; on sqlite: 2, on postgres: 2\n5 passed, 3 failed\n")
	for _, want := range []string{
		"FAIL  p  1.5s  3 passed, 2 failed\n", "why it failed\n", "after its subtests\n", "skip  p TestC\n",
		"q.go:1: broken\n", "FAIL q [build failed]\n", "ok    r  250ms  2 passed\n", "no event\n",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "noise of a success")
	require.Contains(t, kept.String(), `{"Action":"fail","Package":"p","Test":"TestA/postgres"}`+"\n")
	require.Equal(t, 10, strings.Count(kept.String(), "\n"))
}
