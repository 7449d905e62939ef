// Command reliability writes docs/reliability.md: for every fault, invariant and security rule of docs/faults.md the tests that
// carry its number and how they ended on each database, from the events that make test has left.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("reliability", flag.ContinueOnError)
	root := flags.String("root", ".", "folder of the module")
	events := flags.String("events", "bin/tests.jsonl", "what the tests came to, as pgrun -events writes it; \"\" for none")
	out := flags.String("out", "docs/reliability.md", "file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(*root, "docs", "faults.md"))
	if err != nil {
		return err
	}
	tests, err := scan(*root)
	if err != nil {
		return err
	}
	if *events != "" {
		file, err := os.Open(*events)
		if err != nil {
			return fmt.Errorf("%w: make test writes it", err)
		}
		defer file.Close()
		if err := tests.read(file); err != nil {
			return err
		}
	}
	return os.WriteFile(*out, []byte(render(catalogue(string(content)), tests)), 0o644) //nolint:gosec // a document
}

// row is a line of the catalogue.
type row struct{ number, title string }

var catalogueRow = regexp.MustCompile(`(?m)^\| ([FIS]\d+) \| (.+) \|$`)

// catalogue reads the rows of docs/faults.md.
func catalogue(document string) []row {
	var rows []row
	for _, m := range catalogueRow.FindAllStringSubmatch(document, -1) {
		rows = append(rows, row{m[1], m[2]})
	}
	return rows
}

var number = regexp.MustCompile(`^[FIS]\d+$`)

// numbersOf is the numbers that a test carries at the beginning of its name, or at that of a subtest: "TestF4_F59_Kill/sqlite/I3_x".
func numbersOf(test string) []string {
	var found []string
	for _, part := range strings.Split(test, "/") {
		for _, word := range strings.Split(strings.TrimPrefix(part, "Test"), "_") {
			if !number.MatchString(word) {
				break
			}
			found = append(found, word)
		}
	}
	return found
}

// outcome is what the tests of a number came to on one database.
type outcome struct{ passed, failed int }

// evidence is the tests of one number.
type evidence struct {
	tests                     map[string]bool // names of functions, or of the suites that have the number in a subtest
	sqlite, postgres, nothing outcome         // nothing is without a database
}

// evidences are by number.
type evidences map[string]*evidence

func (e evidences) of(n string) *evidence {
	if e[n] == nil {
		e[n] = &evidence{tests: map[string]bool{}}
	}
	return e[n]
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(|"((?:[FIS]\d+_)+\w*)[^"]*"`)

// scan finds the tests of every number in the sources, so that one that did not run is seen too.
func scan(root string) (evidences, error) {
	found := evidences{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "testdata" || entry.Name() == "reliability") {
			return filepath.SkipDir
		}
		suite := strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test")
		if filepath.Ext(path) != ".go" || !(suite || strings.HasSuffix(path, "_test.go")) {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testName.FindAllStringSubmatch(string(content), -1) {
			name := m[1] + m[2]
			for _, n := range numbersOf(name) {
				found.of(n).tests[name] = true
			}
		}
		return nil
	})
	return found, err
}

// event is a line of pgrun's events.
type event struct{ Action, Package, Test string }

// read takes what the tests came to. A test with subtests counts through them.
func (e evidences) read(input io.Reader) error {
	var all []event
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		var one event
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
		all = append(all, one)
	}
	parents := map[string]bool{}
	for _, one := range all {
		for at := strings.LastIndexByte(one.Test, '/'); at >= 0; at = strings.LastIndexByte(one.Test[:at], '/') {
			parents[one.Package+" "+one.Test[:at]] = true
		}
	}
	for _, one := range all {
		if parents[one.Package+" "+one.Test] && one.Action == "pass" {
			continue
		}
		numbers := numbersOf(one.Test)
		slices.Sort(numbers)
		for _, n := range slices.Compact(numbers) {
			e.of(n).count(one)
		}
	}
	return lines.Err()
}

func (e *evidence) count(one event) {
	on := &e.nothing
	switch parts := strings.Split(one.Test, "/"); {
	case slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, "sqlite") }):
		on = &e.sqlite
	case slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, "postgres") }):
		on = &e.postgres
	}
	switch one.Action {
	case "pass":
		on.passed++
	case "fail":
		on.failed++
	}
}
