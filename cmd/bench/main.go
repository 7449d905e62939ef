// Command bench measures Florin and, in the same run and on the same PostgreSQL server, the plain SQL that it is compared with.
// It starts everything that it needs and leaves nothing behind. docs/performance.md says how to read what it prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// maxCell bounds a cell, because access tokens are refreshed between cells alone.
const maxCell = 5 * time.Minute

// settings are what the flags say.
type settings struct {
	warmup, duration time.Duration
	only             *regexp.Regexp
	runs             int
	accounts, users  int
	rate             int64
	server           string
	json, svg        string
	list             bool
	growth           sizes
}

// report is what -json writes.
type report struct {
	At         time.Time         `json:"at"`
	Go         string            `json:"go"`
	Processors int               `json:"processors"`
	PostgreSQL map[string]string `json:"postgresql"`
	WarmupS    float64           `json:"warmup_seconds"`
	DurationS  float64           `json:"duration_seconds"`
	Accounts   int               `json:"accounts"`
	Users      int               `json:"users"`
	Runs       []*run            `json:"runs"`
	Reach      []reached         `json:"reach"`
}

// errUnsound says that money was lost or made, or that something broke. The report says what.
var errUnsound = errors.New("the run is not sound")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := benchmark(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, usage io.Writer) (settings, error) {
	var s settings
	var only string
	var quick bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.DurationVar(&s.duration, "duration", 5*time.Second, "how long each cell is measured")
	flags.DurationVar(&s.warmup, "warmup", time.Second, "how long each cell runs before that")
	flags.BoolVar(&quick, "quick", false, "2 s for each cell after 0.5 s: to look, not to quote")
	flags.StringVar(&only, "only", "", "the cells to measure, a regular expression on their names; SQL lines too are cells")
	flags.IntVar(&s.runs, "runs", 1, "how often everything is measured; what is compared is the medians")
	flags.IntVar(&s.accounts, "accounts", 1000, "accounts, at least 2")
	flags.IntVar(&s.users, "users", 20, "users that own them")
	flags.Int64Var(&s.rate, "rate", 0, fmt.Sprintf("operations a second of an open loop; 0 is %d %% of the closed throughput at 64 connections", openShare))
	flags.StringVar(&s.server, "server", "", "a built server; without it one is built")
	flags.StringVar(&s.json, "json", "", "file for everything that was measured")
	flags.StringVar(&s.svg, "svg", "", "file for a picture of the throughputs")
	flags.Var(&s.growth, "growth", "in place of the cells, the same load and reads on books of these `sizes`, accounts:transactions, the first of "+
		"which is what the others are compared with: 1000:100000,1000:1000000,1000000:1000000")
	flags.BoolVar(&s.list, "list", false, "name the cells and measure nothing")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if quick {
		s.duration, s.warmup = 2*time.Second, 500*time.Millisecond
	}
	var err error
	if s.only, err = regexp.Compile(only); err != nil {
		return s, fmt.Errorf("-only: %w", err)
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected %q", flags.Arg(0))
	case s.duration <= 0 || s.warmup < 0 || s.duration+s.warmup > maxCell:
		return s, fmt.Errorf("-duration and -warmup: a cell takes more than nothing and at most %s", maxCell)
	case s.runs < 1 || s.accounts < 2 || s.users < 1 || s.rate < 0:
		return s, errors.New("-runs and -users are at least 1, -accounts at least 2, -rate not negative")
	case len(plan(s.only)) == 0:
		return s, errors.New("-only: no cell has such a name; -list names them")
	}
	return s, nil
}

// benchmark measures what the arguments ask for and reports it.
func benchmark(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	cells := plan(s.only)
	if s.list {
		for _, c := range cells {
			fmt.Fprintln(out, c.name())
		}
		return nil
	}
	b, err := newBench(ctx, s, cells, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	all := report{At: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Processors: runtime.NumCPU(),
		WarmupS: s.warmup.Seconds(), DurationS: s.duration.Seconds(), Accounts: s.accounts, Users: s.users}
	for n := range s.runs {
		fmt.Fprintf(out, "run %d of %d: %d cells of %s after %s\n\n%s\n", n+1, s.runs, len(cells), s.duration, s.warmup, heading)
		measure := b.run
		if len(s.growth) > 0 {
			measure = b.growth
		}
		r, err := measure(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out)
		all.Runs = append(all.Runs, r)
	}
	all.PostgreSQL = b.postgres
	if len(s.growth) > 0 {
		all.printGrowth(out)
	} else {
		all.Reach = judge(all.Runs)
		all.print(out)
	}
	if err := all.write(s); err != nil {
		return err
	}
	for _, r := range all.Runs {
		if len(r.faults()) > 0 {
			return errUnsound
		}
	}
	return nil
}

func newBench(ctx context.Context, s settings, cells []cell, out io.Writer) (_ *bench, err error) {
	b := &bench{settings: s, cells: cells, binary: s.server, out: out}
	if b.folder, err = os.MkdirTemp("", "florin-bench-"); err != nil {
		return nil, err
	}
	if b.bank, err = openBank(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.folder))
	}
	if b.binary == "" && len(of(sqlLines, cells)) < len(cells) {
		if b.binary, err = buildServer(ctx, b.folder); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) close() error { return errors.Join(b.bank.close(), os.RemoveAll(b.folder)) }

// write writes the files that were asked for.
func (r *report) write(s settings) error {
	if s.json != "" {
		encoded, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.json, append(encoded, '\n'), 0o600); err != nil {
			return err
		}
	}
	if s.svg != "" {
		return os.WriteFile(s.svg, picture(r), 0o600)
	}
	return nil
}
