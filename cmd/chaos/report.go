package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"florin/infra/database/databasetest/oracle"
)

// The figures to reach.
const (
	servingTarget      = time.Second
	resumedTarget      = 10 * time.Second
	postgresBackTarget = 10 * time.Second
)

// times are measured durations.
type times []time.Duration

func (t *times) add(d time.Duration) { *t = append(*t, d) }

// recovery is the median and the worst of some times, in milliseconds, beside the figure to reach.
type recovery struct {
	Measured int   `json:"measured"`
	MedianMS int64 `json:"median_ms"`
	MaxMS    int64 `json:"max_ms"`
	TargetMS int64 `json:"target_ms"`
}

func (t times) recovery(target time.Duration) recovery {
	r := recovery{Measured: len(t), TargetMS: target.Milliseconds()}
	if len(t) == 0 {
		return r
	}
	sorted := slices.Sorted(slices.Values(t))
	r.MedianMS, r.MaxMS = sorted[len(sorted)/2].Milliseconds(), sorted[len(sorted)-1].Milliseconds()
	return r
}

func (r recovery) String() string {
	if r.Measured == 0 {
		return "not measured"
	}
	mark := ""
	if r.MaxMS > r.TargetMS {
		mark = ", MISSED"
	}
	return fmt.Sprintf("median %d ms, max %d ms of %d (target %d ms%s)", r.MedianMS, r.MaxMS, r.Measured, r.TargetMS, mark)
}

// result is what came of one database.
type result struct {
	Database string `json:"database"`
	Seed     uint64 `json:"seed"`
	OK       bool   `json:"ok"`
	TookMS   int64  `json:"took_ms"`

	Operations int `json:"operations"`
	Acked      int `json:"acknowledged"`
	Refused    int `json:"refused"`
	// WasUnknown is operations with a try that had no answer; ByRetry of them the client knew later, ByBooks only the books said.
	WasUnknown int `json:"unknown"`
	ByRetry    int `json:"resolved_by_retry"`
	ByBooks    int `json:"resolved_by_books"`
	Replays    int `json:"replays"`

	Lost         int `json:"lost"`
	Doubled      int `json:"doubled"`
	BankPayments int `json:"bank_payments"`
	BankDiffers  int `json:"bank_differs"`
	Checks       int `json:"checks"`
	Invariants   int `json:"invariants"`

	Kills         int            `json:"kills"`
	PostgresKills int            `json:"postgres_kills"`
	Died          map[string]int `json:"died_at"`
	Troubles      map[string]int `json:"disturbances"`

	Serving      recovery `json:"killed_to_serving"`
	Resumed      recovery `json:"killed_to_resumed"`
	PostgresBack recovery `json:"postgres_back_to_serving"`

	Findings []string `json:"findings"`

	serving, resumed, postgresBack times
	lastKill                       time.Time
}

// finish counts the history.
func (r *result) finish(h *history, took time.Duration) {
	r.TookMS, r.Replays, r.Findings = took.Milliseconds(), h.replays, append([]string{}, h.findings...)
	r.Operations = len(h.operations)
	for _, o := range h.operations {
		switch o.Outcome {
		case oracle.Acked:
			r.Acked++
		case oracle.Refused:
			r.Refused++
		}
		if !o.WasUnknown {
			continue
		}
		r.WasUnknown++
		switch {
		case o.Outcome != oracle.Unknown:
			r.ByRetry++
		case o.FoundByLookup:
			r.ByBooks++
		}
	}
	r.Serving, r.Resumed = r.serving.recovery(servingTarget), r.resumed.recovery(resumedTarget)
	r.PostgresBack = r.postgresBack.recovery(postgresBackTarget)
	r.OK = len(r.Findings) == 0
}

// print writes the result for people.
func (r *result) print(out io.Writer) {
	fmt.Fprintf(out, "%s, seed %d: %s\n", r.Database, r.Seed, map[bool]string{true: "ok", false: "FAILED"}[r.OK])
	for _, line := range [][2]string{
		{"operations", fmt.Sprintf("%d acknowledged, %d refused, of %d", r.Acked, r.Refused, r.Operations)},
		{"unknown", fmt.Sprintf("%d, of which %d resolved by retry and %d by the books", r.WasUnknown, r.ByRetry, r.ByBooks)},
		{"lost, doubled", fmt.Sprintf("%d lost, %d doubled, %d repeats answered with the first answer", r.Lost, r.Doubled, r.Replays)},
		{"bank", fmt.Sprintf("%d payments, %d differ from the books", r.BankPayments, r.BankDiffers)},
		{"invariants", fmt.Sprintf("%d, checked %d times", r.Invariants, r.Checks)},
		{"kills", fmt.Sprintf("%d of the server (%s), %d of PostgreSQL", r.Kills, list(r.Died), r.PostgresKills)},
		{"disturbances", list(r.Troubles)},
		{"server killed to serving", r.Serving.String()},
		{"server killed to stranded work resumed", r.Resumed.String()},
		{"PostgreSQL back to serving", r.PostgresBack.String()},
		{"took", (time.Duration(r.TookMS) * time.Millisecond).String()},
	} {
		fmt.Fprintf(out, "  %-38s %s\n", line[0], line[1])
	}
	for i, f := range r.Findings {
		if i == shownFindings {
			fmt.Fprintf(out, "  and %d findings more\n", len(r.Findings)-i)
			break
		}
		fmt.Fprintf(out, "  FINDING %s\n", f)
	}
}

const shownFindings = 30

func list(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
