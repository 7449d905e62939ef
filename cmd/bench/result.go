package main

import (
	"slices"
	"time"
)

// result is what a cell measured. Its figures are read by people and programs: the JSON names carry the units.
type result struct {
	cell
	Name       string           `json:"name"`
	PerSecond  float64          `json:"per_second"`
	Parts      []float64        `json:"parts_per_second,omitempty"` // of a line that was measured more than once
	OfferedPS  int64            `json:"offered_per_second,omitempty"`
	Operations int64            `json:"operations"`
	Seconds    float64          `json:"seconds"`
	Latency    quantiles        `json:"latency_ms"`
	Failures   map[string]int64 `json:"failures,omitempty"`
	CPU        *cpu             `json:"cpu_seconds_per_1000,omitempty"` // nil without /proc
	// The server's memory at the end of the load; 0 without /proc, and for the SQL lines.
	ResidentMiB float64 `json:"resident_mib,omitempty"`
	PeakMiB     float64 `json:"peak_mib,omitempty"`
	// RelayMS is how old the oldest event was at the end of the load that the relay had not taken yet: work put off.
	RelayMS float64            `json:"relay_behind_ms,omitempty"`
	Ratios  map[string]float64 `json:"ratios,omitempty"` // to the lines of the same run, by name
	// Credited over accepted, of deposits; nil for other work.
	Credited *float64 `json:"credited_per_accepted,omitempty"`
	// Told is how many events have reached listeners, by the way they came; nil where nobody listens.
	Told map[string]int64 `json:"told,omitempty"`
	// Fault is what a check of the money found; "" for nothing.
	Fault string `json:"fault,omitempty"`

	latency histogram
}

// quantiles are latencies in milliseconds.
type quantiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func quantilesOf(h *histogram) quantiles {
	return quantiles{milliseconds(h.quantile(500)), milliseconds(h.quantile(990)), milliseconds(h.quantile(999)), milliseconds(h.max)}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cpu is processor time in seconds per 1,000 operations. On SQLite the database is part of the server; of a SQL line the
// generator is the client.
type cpu struct {
	Server    float64 `json:"server"`
	Database  float64 `json:"database"`
	Generator float64 `json:"generator"`
}

// newResult keeps what a load measured. perOperation is how many operations one answer stands for.
func newResult(c cell, m measured, perOperation int64) *result {
	r := &result{cell: c, Name: c.name(), Operations: m.done * perOperation, Seconds: m.elapsed.Seconds(), Failures: m.failures, latency: m.latency}
	r.summarize()
	return r
}

func (r *result) summarize() {
	if r.Seconds > 0 {
		r.PerSecond = float64(r.Operations) / r.Seconds
	}
	r.Latency = quantilesOf(&r.latency)
}

// add takes over what the same cell measured later in the run.
func (r *result) add(later *result) {
	if r.Parts == nil {
		r.Parts = []float64{r.PerSecond}
	}
	r.Parts = append(r.Parts, later.PerSecond)
	if r.CPU != nil && later.CPU != nil && r.Operations+later.Operations > 0 {
		mean := func(a, b float64) float64 {
			return (a*float64(r.Operations) + b*float64(later.Operations)) / float64(r.Operations+later.Operations)
		}
		r.CPU = &cpu{mean(r.CPU.Server, later.CPU.Server), mean(r.CPU.Database, later.CPU.Database), mean(r.CPU.Generator, later.CPU.Generator)}
	}
	r.Operations += later.Operations
	r.Seconds += later.Seconds
	r.latency.merge(&later.latency)
	for failure, n := range later.Failures {
		if r.Failures == nil {
			r.Failures = map[string]int64{}
		}
		r.Failures[failure] += n
	}
	if r.Fault == "" {
		r.Fault = later.Fault
	}
	r.summarize()
}

// run is one whole measurement on a PostgreSQL server of its own. Ratios are formed within it.
type run struct {
	Results []*result `json:"results"`
	Starts  []start   `json:"starts"`
	FsyncMS float64   `json:"fsync_ms"`
	// Faults are what the servers' logs and the invariants of their books say; none in a sound run.
	Faults []string `json:"faults,omitempty"`
	// Growth is what a run with -growth measures, in place of the cells.
	Growth []*grown `json:"growth,omitempty"`
}

// start is how long a server took from exec to its first answer, on an empty database and on one with its schema.
type start struct {
	System     system  `json:"system"`
	EmptyMS    float64 `json:"on_an_empty_database_ms"`
	MigratedMS float64 `json:"on_a_migrated_database_ms"`
}

// find is nil where the cell was not measured.
func (r *run) find(name string) *result {
	i := slices.IndexFunc(r.Results, func(found *result) bool { return found.Name == name })
	if i < 0 {
		return nil
	}
	return r.Results[i]
}

// keep adds a result, to the one of the same cell where there is one.
func (r *run) keep(found *result) {
	if earlier := r.find(found.Name); earlier != nil {
		earlier.add(found)
		return
	}
	r.Results = append(r.Results, found)
}

// compare sets the ratios of every cell to the lines that do the same work.
func (r *run) compare() {
	for _, found := range r.Results {
		for label, line := range linesFor(found.cell) {
			if base := r.find(line.name()); base != nil && base.PerSecond > 0 && !found.Open && found.System != sqlLines {
				if found.Ratios == nil {
					found.Ratios = map[string]float64{}
				}
				found.Ratios[label] = found.PerSecond / base.PerSecond
			}
		}
	}
}

// linesFor is the lines that a cell is compared with: Zipf with the uniform one, and a client alone with a client alone.
func linesFor(c cell) map[string]cell {
	switch {
	case c.Work == workDeposit && c.Connections == 1:
		return nil
	case c.Work == workDeposit:
		return map[string]cell{lineB: {sqlLines, lineB, uniform, 64, false}}
	case c.Connections == 1:
		return map[string]cell{lineD: {sqlLines, lineD, uniform, 1, false}}
	}
	to := uniform
	if c.Spread == hot {
		to = hot
	}
	return map[string]cell{
		lineD:  {sqlLines, lineD, to, 16, false},
		lineDP: {sqlLines, lineDP, to, 16, false},
		lineE:  {sqlLines, lineE, uniform, 1, false},
	}
}

// faults is everything in the run that must not be.
func (r *run) faults() []string {
	faults := slices.Clone(r.Faults)
	for _, found := range r.Results {
		if found.Fault != "" {
			faults = append(faults, found.Name+": "+found.Fault)
		}
	}
	return faults
}
