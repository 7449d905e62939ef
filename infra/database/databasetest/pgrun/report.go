package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// event is a line of "go test -json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Elapsed    json.Number // seconds
	Output     string
}

// report turns the events into one line a package, the whole output of what failed, and a count.
type report struct {
	out      io.Writer
	kept     *json.Encoder // for how every test ended; nil keeps nothing
	whole    bool          // print all output as it comes
	packages map[string]*packageReport

	passed, failed, skipped, onSQLite, onPostgres int
	failure                                       error // of keeping
	brokenPackages                                int   // failed without a failed test: a build, a crash, a timeout
}

// ended is how a test ended, as it is kept.
type ended struct{ Action, Package, Test string }

type packageReport struct {
	order   []string // the tests as they ended
	outcome map[string]string
	output  map[string]*strings.Builder // by test; "" holds the package's own
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*packageReport{}}
}

// read takes events until the input ends. A line that is no event is printed as it is.
func (r *report) read(input io.Reader) error {
	lines := bufio.NewReader(input)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprint(r.out, string(line))
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			return r.failure
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (r *report) add(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(r.out, e.Output)
	}
	if e.Package == "" {
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &packageReport{outcome: map[string]string{}, output: map[string]*strings.Builder{}}
		r.packages[e.Package] = p
	}
	switch e.Action {
	case "output":
		if r.whole {
			fmt.Fprint(r.out, e.Output)
			return
		}
		if p.output[e.Test] == nil {
			p.output[e.Test] = &strings.Builder{}
		}
		p.output[e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.finish(e, p)
			return
		}
		if r.kept != nil {
			r.failure = errors.Join(r.failure, r.kept.Encode(ended{e.Action, e.Package, e.Test}))
		}
		p.order = append(p.order, e.Test)
		p.outcome[e.Test] = e.Action
		if e.Action == "pass" {
			delete(p.output, e.Test)
		}
	}
}

// finish counts and prints a package that has ended. A test with subtests counts through them; it counts itself only when it
// failed and none of them did.
func (r *report) finish(e event, p *packageReport) {
	parents := map[string]bool{}     // tests that have subtests
	failedBelow := map[string]bool{} // tests with a failed subtest
	for _, name := range p.order {
		for at := strings.LastIndexByte(name, '/'); at >= 0; at = strings.LastIndexByte(name[:at], '/') {
			parents[name[:at]] = true
			if p.outcome[name] == "fail" {
				failedBelow[name[:at]] = true
			}
		}
	}
	passed, failed := 0, 0
	for _, name := range p.order {
		switch outcome := p.outcome[name]; {
		case outcome == "fail" && !failedBelow[name]:
			failed++
		case parents[name]:
			continue
		case outcome == "pass":
			passed++
		default:
			r.skipped += boolToInt(outcome == "skip")
			continue
		}
		r.onSQLite += boolToInt(strings.Contains(name, "/sqlite"))
		r.onPostgres += boolToInt(strings.Contains(name, "/postgres"))
	}
	r.passed, r.failed = r.passed+passed, r.failed+failed
	r.printPackage(e, p, passed, failed)
	delete(r.packages, e.Package)
}

func (r *report) printPackage(e event, p *packageReport, passed, failed int) {
	took, _ := time.ParseDuration(e.Elapsed.String() + "s")
	switch {
	case e.Action == "fail":
		fmt.Fprintf(r.out, "FAIL  %s  %s  %d passed, %d failed\n", e.Package, took, passed, failed)
		for _, name := range p.order {
			if p.outcome[name] == "fail" && p.output[name] != nil {
				fmt.Fprint(r.out, p.output[name].String())
			}
		}
		if failed == 0 {
			r.printBroken(p)
		}
	case passed > 0:
		fmt.Fprintf(r.out, "ok    %s  %s  %d passed\n", e.Package, took, passed)
	}
	for _, name := range p.order {
		if p.outcome[name] == "skip" {
			fmt.Fprintf(r.out, "skip  %s %s\n", e.Package, name)
		}
	}
}

// printBroken prints what a package said that failed as a whole: its own output, and that of tests that never ended.
func (r *report) printBroken(p *packageReport) {
	r.brokenPackages++
	for name, output := range p.output {
		if p.outcome[name] == "" {
			fmt.Fprint(r.out, output.String())
		}
	}
}

// close prints the count. A package that failed without a failed test counts as one.
func (r *report) close() {
	r.failed += r.brokenPackages
	skipped := ""
	if r.skipped > 0 {
		skipped = fmt.Sprintf(", %d skipped", r.skipped)
	}
	fmt.Fprintf(r.out, "\ntests: %d passed, %d failed%s; on sqlite: %d, on postgres: %d\n",
		r.passed, r.failed, skipped, r.onSQLite, r.onPostgres)
	fmt.Fprintf(r.out, "%d passed, %d failed\n", r.passed, r.failed)
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
