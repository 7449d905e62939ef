package main

import (
	"fmt"
	"slices"
)

// target is a line of the table "Reach": what is wanted, and how it is read off a run.
type target struct {
	work   string
	wanted string
	format string
	// holds judges the median of the runs.
	holds func(value float64) bool
	// measure answers false where the run did not measure it.
	measure func(r *run) (float64, bool)
}

// reached is what became of a target: the median of the runs, and each run's value.
type reached struct {
	Work     string    `json:"work"`
	Wanted   string    `json:"wanted"`
	Measured bool      `json:"measured"`
	Median   float64   `json:"median,omitempty"`
	Each     []float64 `json:"each,omitempty"`
	Pass     bool      `json:"pass"`

	format string
}

// noise is how far two latencies may be apart that are called the same.
const noise = 1.05

func atLeast(bound float64) func(float64) bool { return func(v float64) bool { return v >= bound } }
func atMost(bound float64) func(float64) bool  { return func(v float64) bool { return v <= bound } }

// The cells that the targets speak of.
var (
	dUniform      = cell{sqlLines, lineD, uniform, 16, false}.name()
	dHot          = cell{sqlLines, lineD, hot, 16, false}.name()
	lineBName     = cell{sqlLines, lineB, uniform, 64, false}.name()
	lineEName     = cell{sqlLines, lineE, uniform, 1, false}.name()
	uniform64     = cell{onPostgres, workTransfer, uniform, 64, false}.name()
	uniform256    = cell{onPostgres, workTransfer, uniform, 256, false}.name()
	uniform1      = cell{onPostgres, workTransfer, uniform, 1, false}.name()
	oneUniform1   = cell{onePostgres, workTransfer, uniform, 1, false}.name()
	told64        = cell{toldPostgres, workTransfer, uniform, 64, false}.name()
	hot64         = cell{onPostgres, workTransfer, hot, 64, false}.name()
	deposits64    = cell{onPostgres, workDeposit, uniform, 64, false}.name()
	onSQLite64    = cell{onSQLite, workTransfer, uniform, 64, false}.name()
	oneOnSQLite64 = cell{oneSQLite, workTransfer, uniform, 64, false}.name()
)

// targets is what the design asks for, in its order.
var targets = []target{
	{"transfers, uniform, to d", "≥ 2.0", "%.2f", atLeast(2), throughputs(uniform64, dUniform)},
	{"transfers, uniform, to e", "≥ 0.35", "%.2f", atLeast(0.35), throughputs(uniform64, lineEName)},
	{"transfers, uniform, to e, 256 connections", "≥ 0.5", "%.2f", atLeast(0.5), throughputs(uniform256, lineEName)},
	{"transfers, one hot account, to d hot", "≥ 8", "%.2f", atLeast(8), throughputs(hot64, dHot)},
	{"hot to uniform throughput", "≥ 0.9", "%.2f", atLeast(0.9), throughputs(hot64, uniform64)},
	{"whole deposits, to b with 64 clients", "≥ 1.0", "%.2f", atLeast(1), throughputs(deposits64, lineBName)},
	{"p99, hot account", "≤ 50 ms", "%.1f ms", atMost(50), p99(hot64)},
	{"SQLite, transfers, to its own one-per-commit mode", "≥ 4", "%.2f", atLeast(4), throughputs(onSQLite64, oneOnSQLite64)},
	{"SQLite, transfers, to e of PostgreSQL", "≥ 0.2", "%.2f", atLeast(0.2), throughputs(onSQLite64, lineEName)},
	{"credited / accepted, the worst cell", "1.000", "%.6f", func(v float64) bool { return v == 1 }, worstCredited},
	{"resident memory of the server, the largest", "≤ 60 MiB", "%.1f MiB", atMost(60), largestResident},
	{"start to first answer, the slowest", "≤ 100 ms", "%.1f ms", atMost(100), slowestStart},
	{"one request alone: p50 to one-per-transaction mode", "≤ 1 (5 % noise)", "%.2f", atMost(noise), medians(uniform1, oneUniform1)},
	{"transfers with streams, webhooks and a broker, to those without", "≥ 0.95", "%.2f", atLeast(0.95), throughputs(told64, uniform64)},
}

// judge reads every target off the runs.
func judge(runs []*run) []reached {
	judged := make([]reached, len(targets))
	for i, t := range targets {
		judged[i] = reached{Work: t.work, Wanted: t.wanted, format: t.format}
		for _, r := range runs {
			if value, ok := t.measure(r); ok {
				judged[i].Each = append(judged[i].Each, value)
			}
		}
		if len(judged[i].Each) > 0 {
			judged[i].Measured, judged[i].Median = true, median(judged[i].Each)
			judged[i].Pass = t.holds(judged[i].Median)
		}
	}
	return judged
}

// median is the middle value, of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// throughputs is the ratio of two cells' throughputs.
func throughputs(name, base string) func(*run) (float64, bool) {
	return quotient(name, base, func(r *result) float64 { return r.PerSecond })
}

// medians is the ratio of two cells' median latencies.
func medians(name, base string) func(*run) (float64, bool) {
	return quotient(name, base, func(r *result) float64 { return r.Latency.P50 })
}

func quotient(name, base string, of func(*result) float64) func(*run) (float64, bool) {
	return func(r *run) (float64, bool) {
		over, under := r.find(name), r.find(base)
		if over == nil || under == nil || of(under) == 0 {
			return 0, false
		}
		return of(over) / of(under), true
	}
}

func p99(name string) func(*run) (float64, bool) {
	return func(r *run) (float64, bool) {
		found := r.find(name)
		if found == nil || found.Operations == 0 {
			return 0, false
		}
		return found.Latency.P99, true
	}
}

// worstCredited is the value furthest from 1, on either side: money that was made is no better than money that was lost.
func worstCredited(r *run) (worst float64, ok bool) {
	distance := func(v float64) float64 { return max(v-1, 1-v) }
	for _, found := range r.Results {
		if found.Credited != nil && (!ok || distance(*found.Credited) > distance(worst)) {
			worst, ok = *found.Credited, true
		}
	}
	return worst, ok
}

func largestResident(r *run) (largest float64, ok bool) {
	for _, found := range r.Results {
		if found.ResidentMiB > 0 {
			largest, ok = max(largest, found.ResidentMiB), true
		}
	}
	return largest, ok
}

// slowestStart is of starts on a database that has its schema, as all but the first are.
func slowestStart(r *run) (slowest float64, ok bool) {
	for _, s := range r.Starts {
		slowest, ok = max(slowest, s.MigratedMS), true
	}
	return slowest, ok
}

// text is the measured side of the table.
func (r reached) text() string {
	if !r.Measured {
		return "not measured"
	}
	return fmt.Sprintf(r.format, r.Median)
}

func (r reached) verdict() string {
	switch {
	case !r.Measured:
		return "-"
	case r.Pass:
		return "pass"
	default:
		return "FAIL"
	}
}
