// Command mutate takes one guard at a time out of a copy of the tree and shows that the rig goes red without it. A guard whose loss
// nobody notices is a finding.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// mutation is a guard and how it is taken out.
type mutation struct {
	name  string
	edits []edit
	tests []check // the first that is red is enough
}

// edit replaces a text that must be there exactly once, unless all says that each is replaced.
type edit struct {
	file, from, to string
	all            bool
}

// check is a command of the rig.
type check struct {
	name string
	args []string
}

// The checks, the quickest first.
var (
	simulation  = check{"simulation", []string{"test", "-count=1", "./cmd/simulate"}}
	lockTests   = check{"locks", []string{"test", "-count=1", "-run", "TestLedgerHoldsItsLocks", "./infra/database"}}
	commitTests = check{"F97", []string{"test", "-count=1", "-run", "F97", "./cmd/florin", "./infra/database"}}
	storeTests  = check{"store", []string{"test", "-count=1", "./infra/database"}}
	chaosTests  = check{"chaos", []string{"test", "-count=1", "./cmd/chaos"}}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

var errSurvived = errors.New("a guard was taken out and nothing went red")

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	root := flags.String("root", ".", "folder of the module")
	only := flags.String("only", "", "mutations whose name has this text")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "florin-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := copyTree(ctx, *root, folder); err != nil {
		return err
	}
	survived := false
	fmt.Fprintf(out, "%-44s %-12s %-10s %s\n", "guard taken out", "red by", "after", "what it said")
	for _, m := range mutations {
		if !strings.Contains(m.name, *only) {
			continue
		}
		began := time.Now()
		by, said, err := m.try(ctx, folder)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if by == "" {
			survived, by = true, "NOTHING"
		}
		fmt.Fprintf(out, "%-44s %-12s %-10s %s\n", m.name, by, time.Since(began).Round(time.Second), said)
	}
	if survived {
		return errSurvived
	}
	return nil
}

// copyTree copies what git knows of, and what it would take up.
func copyTree(ctx context.Context, from, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tree: %w", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed and not committed yet
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o750)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o644) //nolint:gosec // a copy
		}
		if err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
	}
	return nil
}

// try takes the guard out, runs its checks, and puts the guard back. by is the check that went red, "" for none.
func (m mutation) try(ctx context.Context, folder string) (by, said string, err error) {
	before := map[string][]byte{}
	defer func() {
		for name, content := range before {
			err = errors.Join(err, os.WriteFile(name, content, 0o644)) //nolint:gosec // a copy
		}
	}()
	for _, e := range m.edits {
		path := filepath.Join(folder, e.file)
		content, err := os.ReadFile(path)
		if err != nil {
			return "", "", err
		}
		if _, kept := before[path]; !kept {
			before[path] = content
		}
		if n := strings.Count(string(content), e.from); n == 0 || (n > 1 && !e.all) {
			return "", "", fmt.Errorf("%s has %d times %q: the guard has moved", e.file, n, e.from)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), e.from, e.to)), 0o644); err != nil { //nolint:gosec // a copy
			return "", "", err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "./service/...", "./infra/...", "./cmd/simulate")
	build.Dir = folder
	if output, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("the mutated tree does not build: %w\n%s", err, output)
	}
	for _, c := range m.tests {
		command := exec.CommandContext(ctx, "go", c.args...)
		command.Dir = folder
		output, err := command.CombinedOutput()
		if err != nil {
			return c.name, finding(output), ctx.Err()
		}
	}
	return "", "", ctx.Err()
}

// finding is the line of the output that says most.
func finding(output []byte) string {
	for _, mark := range []string{"FINDING", "broken", "doubled", "seed ", "Error:", "Messages:", "--- FAIL", "panic:"} {
		for _, line := range strings.Split(string(output), "\n") {
			if strings.Contains(line, mark) {
				line = strings.Join(strings.Fields(line), " ")
				return line[:min(len(line), 140)]
			}
		}
	}
	return string(bytes.TrimSpace(output[:min(len(output), 140)]))
}
