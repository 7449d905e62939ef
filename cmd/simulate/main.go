// Command simulate runs the real payment flow on the real store, in one process, on a clock of its own, with a model bank and
// clients whose every move comes of a seed: lost and repeated webhooks, lost answers, and servers that die at any commit and any
// provider call. After each history the invariants must hold and the balances must be the model's. A failing seed is printed, and
// -seed with it runs the same history again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// errFound says that a history was wrong. Which is printed.
var errFound = errors.New("a history is wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var seed, from uint64
	var n int
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.IntVar(&n, "n", 1000, "histories")
	flags.Uint64Var(&from, "from", 1, "seed of the first")
	flags.Uint64Var(&seed, "seed", 0, "one history alone, with all its steps")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if seed != 0 {
		return one(ctx, seed, out)
	}
	t, err := many(ctx, from, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d histories from seed %d in %s: %d operations, %d of them unknown for a time, %d deaths of a server, %d payments at the bank\n",
		t.histories, from, t.took.Round(time.Millisecond), t.operations, t.unknown, t.deaths, t.payments)
	for _, f := range t.wrong {
		fmt.Fprintf(out, "WRONG: seed %d: %s\n  again: make simulate SEED=%d\n", f.seed, f.finding, f.seed)
	}
	if len(t.wrong) > 0 {
		return errFound
	}
	return nil
}

// one runs a history and prints it.
func one(ctx context.Context, seed uint64, out io.Writer) error {
	folder, err := workFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	migrated, err := template(ctx, folder)
	if err != nil {
		return err
	}
	s, err := simulate(ctx, seed, folder, migrated)
	if s != nil {
		for _, line := range s.trace {
			fmt.Fprintln(out, line)
		}
		for _, f := range s.findings {
			fmt.Fprintln(out, "WRONG:", f)
		}
		if len(s.findings) > 0 {
			err = errors.Join(err, errFound)
		}
	}
	return err
}

// wrong is a history that is wrong, by its first finding.
type wrong struct {
	seed    uint64
	finding string
}

// total is what came of many histories.
type total struct {
	histories, operations, unknown, deaths, payments int
	wrong                                            []wrong
	took                                             time.Duration
}

// many runs n histories side by side. It ends early once some are wrong.
func many(ctx context.Context, from uint64, n int) (*total, error) {
	began := time.Now()
	folder, err := workFolder()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	migrated, err := template(ctx, folder)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	t := &total{}
	work, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() error {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				enough := int(i) >= n || len(t.wrong) >= maxWrong
				mu.Unlock()
				if enough || ctx.Err() != nil {
					return ctx.Err()
				}
				seed := from + uint64(i) //nolint:gosec // a count
				s, err := simulate(ctx, seed, folder, migrated)
				if err != nil {
					return fmt.Errorf("seed %d: %w", seed, err)
				}
				mu.Lock()
				t.add(seed, s)
				mu.Unlock()
			}
		})
	}
	err = work.Wait()
	t.took = time.Since(began)
	return t, err
}

// maxWrong is after how many wrong histories there is no need for more.
const maxWrong = 5

func (t *total) add(seed uint64, s *simulation) {
	t.histories++
	t.operations += len(s.operations)
	t.deaths += s.deaths
	t.payments += len(s.bank.payments)
	for _, o := range s.operations {
		if o.WasUnknown {
			t.unknown++
		}
	}
	if len(s.findings) > 0 {
		t.wrong = append(t.wrong, wrong{seed, s.findings[0]})
	}
}
