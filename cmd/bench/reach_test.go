package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryCellHasANameOfItsOwnAndEveryTargetItsCells(t *testing.T) {
	names := map[string]bool{}
	measured := &run{Starts: []start{{onPostgres, 90, 50}}}
	for _, c := range allCells() {
		assert.False(t, names[c.name()], c.name())
		names[c.name()] = true
		one := 1.0
		measured.keep(&result{cell: c, Name: c.name(), PerSecond: 100, Operations: 100, Latency: quantiles{P50: 1, P99: 2}, ResidentMiB: 40, Credited: &one})
	}
	for _, line := range judge([]*run{measured}) {
		assert.True(t, line.Measured, "%s speaks of a cell that is never measured", line.Work)
	}
	for _, line := range judge([]*run{{}}) {
		assert.False(t, line.Measured || line.Pass, "%s passes without a measurement", line.Work)
		assert.Equal(t, "-", line.verdict())
	}
}

// runWith is a run in which the cells did so many a second.
func runWith(perSecond map[string]float64) *run {
	r := &run{}
	for _, c := range allCells() {
		if n, ok := perSecond[c.name()]; ok {
			r.keep(&result{cell: c, Name: c.name(), PerSecond: n, Operations: 1})
		}
	}
	return r
}

func reachOf(t *testing.T, work string, runs ...*run) reached {
	for _, line := range judge(runs) {
		if line.Work == work {
			return line
		}
	}
	t.Fatalf("no target %q", work)
	return reached{}
}

func TestReachIsTheMedianOfRatiosWithinEachRun(t *testing.T) {
	runs := []*run{
		runWith(map[string]float64{uniform64: 2000, dUniform: 1000}),
		runWith(map[string]float64{uniform64: 500, dUniform: 200}), // a slow machine changes both sides
		runWith(map[string]float64{uniform64: 900, dUniform: 1000}),
	}
	line := reachOf(t, "transfers, uniform, to d", runs...)
	assert.Equal(t, []float64{2, 2.5, 0.9}, line.Each)
	assert.InDelta(t, 2, line.Median, 1e-9)
	assert.True(t, line.Pass)
	assert.False(t, reachOf(t, "transfers, uniform, to d", runs[2]).Pass)
	assert.InDelta(t, 1.45, median([]float64{2, 0.9}), 1e-9)
}

func TestMoneyThatWasMadeFailsLikeMoneyThatWasLost(t *testing.T) {
	const work = "credited / accepted, the worst cell"
	for credited, pass := range map[float64]bool{1: true, 0.999999: false, 1.000001: false} {
		one := 1.0
		r := &run{Results: []*result{{Credited: &one}, {Credited: &credited}, {Credited: &one}, {}}}
		line := reachOf(t, work, r)
		assert.Equal(t, pass, line.Pass, "%v", credited)
		assert.InDelta(t, credited, line.Median, 1e-12)
	}
}

func TestALineThatIsMeasuredTwiceIsTheMeanOfBoth(t *testing.T) {
	r := &run{}
	for _, done := range []int64{1000, 3000} {
		m := measured{done: done, elapsed: 2 * time.Second, failures: map[string]int64{"sql": 1}}
		m.latency.record(time.Duration(done) * time.Microsecond)
		r.keep(newResult(cell{sqlLines, lineD, uniform, 16, false}, m, 1))
	}
	found := r.find(dUniform)
	require.Len(t, r.Results, 1)
	assert.InDelta(t, 1000, found.PerSecond, 1e-9)
	assert.Equal(t, []float64{500, 1500}, found.Parts)
	assert.EqualValues(t, 2, found.Failures["sql"])
	assert.InDelta(t, 3, found.Latency.Max, 1e-9)
	assert.InDelta(t, 1, found.Latency.P50, 0.01)
}

func TestRatiosAreToTheLineThatDoesTheSame(t *testing.T) {
	r := runWith(map[string]float64{uniform64: 3000, hot64: 3000, deposits64: 800, uniform1: 50, dUniform: 1000, dHot: 300, lineBName: 1600, lineEName: 9000,
		"sql/d/uniform/1": 100})
	r.compare()
	assert.Equal(t, map[string]float64{"d": 3, "e": 1.0 / 3}, r.find(uniform64).Ratios)
	assert.Equal(t, map[string]float64{"d": 10, "e": 1.0 / 3}, r.find(hot64).Ratios)
	assert.Equal(t, map[string]float64{"b": 0.5}, r.find(deposits64).Ratios)
	assert.Equal(t, map[string]float64{"d": 0.5}, r.find(uniform1).Ratios)
	assert.Nil(t, r.find(dUniform).Ratios)
}

func TestFlagsRefuseWhatCannotBeMeasured(t *testing.T) {
	for _, bad := range []string{"-only ^nothing$", "-only (", "-duration 6m", "-duration 0s", "-runs 0", "-accounts 1", "-users 0", "-rate -1", "surplus"} {
		_, err := parseFlags(strings.Fields(bad), io.Discard)
		assert.Error(t, err, bad)
	}
	s, err := parseFlags([]string{"-quick", "-only", "^sql/"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 2*time.Second, s.duration)
	assert.Equal(t, plan(regexp.MustCompile("^sql/")), of(sqlLines, allCells()))
	assert.Equal(t, of(sqlLines, plan(s.only)), plan(s.only))
}

func TestReportAndPictureNameEveryCell(t *testing.T) {
	one := runWith(map[string]float64{uniform64: 3000, dUniform: 1000})
	one.find(uniform64).Fault = "a cent & <more>"
	one.compare()
	r := &report{Runs: []*run{one}, Reach: judge([]*run{one}), PostgreSQL: map[string]string{"fsync": "on", "server_version": "15 <beta>"}, Processors: 2, DurationS: 5}
	var text bytes.Buffer
	r.print(&text)
	for _, part := range []string{uniform64, dUniform, "3.00", "fsync=on", "FAULT: " + uniform64, "pass", "not measured"} {
		assert.Contains(t, text.String(), part)
	}
	image := picture(r)
	assert.Contains(t, string(image), uniform64)
	decoder := xml.NewDecoder(bytes.NewReader(image))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}
