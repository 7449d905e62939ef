// Command chaos kills a server and its database under load, again and again, and proves after each round that the books are
// sound, that clients know nothing which is not in them, and that the bank has the same. The server, PostgreSQL and the bank are
// processes of their own; between them are Toxiproxy's links. Everything is drawn from one seed. docs/development.md says how to
// read what it prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"florin/infra/database"
)

// settings are what the flags say.
type settings struct {
	seed           uint64
	runs           int
	kills, pgKills int
	clients        int
	databases      []database.Dialect
	json           string
	server         string
	// short leaves out what settles only after many seconds, for the tests.
	short bool
}

// random is a stream of the seed. The schedule is stream 0; each client has one of its own.
func (s settings) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, stream)) //nolint:gosec // it must be the same each time
}

// errFound says that something was wrong. The report says what.
var errFound = errors.New("the run has findings")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, usage io.Writer) (settings, error) {
	s := settings{}
	var name string
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Uint64Var(&s.seed, "seed", 0, "what everything is drawn from; 0 draws one and prints it")
	flags.IntVar(&s.runs, "runs", 1, "how often everything is done, each time from nothing and with the next seed")
	flags.IntVar(&s.kills, "kills", 100, "kills of the server on each database")
	flags.IntVar(&s.pgKills, "pgkills", 10, "kills of PostgreSQL")
	flags.IntVar(&s.clients, "clients", 16, "clients that work at the same time")
	flags.StringVar(&name, "database", "both", "sqlite, postgres or both")
	flags.StringVar(&s.json, "json", "", "file for the results")
	flags.StringVar(&s.server, "server", "", "a built server with crash points; without it one is built")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch name {
	case "both":
		s.databases = []database.Dialect{database.SQLite, database.Postgres}
	case string(database.SQLite), string(database.Postgres):
		s.databases = []database.Dialect{database.Dialect(name)}
	default:
		return s, fmt.Errorf("-database: %q is neither sqlite, postgres nor both", name)
	}
	if s.kills < 0 || s.pgKills < 0 || s.clients < 1 || s.runs < 1 {
		return s, errors.New("-runs, -kills, -pgkills and -clients are counts")
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()>>32 + 1 //nolint:gosec // any will do; it is printed
	}
	return s, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parseFlags(args, os.Stderr)
	if err != nil {
		return err
	}
	if s.server == "" {
		folder, err := os.MkdirTemp("", "florin-chaos-build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		if s.server, err = buildServer(ctx, folder); err != nil {
			return err
		}
	}
	var results []*result
	for range s.runs {
		fmt.Fprintf(out, "seed %d: the same schedule again with -seed %d -kills %d -pgkills %d -clients %d\n", s.seed, s.seed, s.kills, s.pgKills, s.clients)
		for _, dialect := range s.databases {
			r, err := torment(ctx, s, dialect, s.server, func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) })
			if r != nil {
				r.print(out)
				results = append(results, r)
			}
			if err := errors.Join(err, write(s.json, results)); err != nil {
				return fmt.Errorf("%s, seed %d: %w", dialect, s.seed, err)
			}
		}
		s.seed++
	}
	if slices.ContainsFunc(results, func(r *result) bool { return !r.OK }) {
		return errFound
	}
	return nil
}

// write keeps what there is so far, so that a long run which is ended has a report.
func write(path string, results []*result) error {
	if path == "" {
		return nil
	}
	content, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644) //nolint:gosec // a report for everybody
}

// torment runs the whole schedule on one database. It ends at the first check that finds something, and leaves its folder then.
func torment(ctx context.Context, s settings, dialect database.Dialect, program string, say func(string, ...any)) (_ *result, err error) {
	began := time.Now()
	w, err := openWorld(ctx, s, dialect, program, say)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return nil, err
	}
	cycles := plan(s, dialect, s.random(0))
	for i, c := range cycles {
		if err = w.live(ctx, i+1, c); err != nil {
			w.history.find("round %d of %d: %v", i+1, len(cycles), err)
		}
		if len(w.history.findings) > 0 {
			break
		}
		if len(cycles) > 1 {
			say("%s: round %d of %d: %d operations, %d kills, %s", dialect, i+1, len(cycles), len(w.history.operations),
				w.result.Kills+w.result.PostgresKills, time.Since(began).Round(time.Second))
		}
	}
	w.result.finish(w.history, time.Since(began))
	if !w.result.OK {
		say("%s: what is left is in %s", dialect, w.folder)
	}
	return w.result, ctx.Err()
}
