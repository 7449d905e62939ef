package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// heading names the columns of line.
var heading = fmt.Sprintf("%-36s %9s %8s %8s %8s %8s  %-22s %7s %7s  %s",
	"cell", "/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "CPU s/1000 srv·db·gen", "RSS MiB", "relay ms", "failures and faults")

// line is a result in one line, as it is told when it was measured.
func line(r *result) string {
	used, resident, relay := "-", "-", "-"
	if r.CPU != nil {
		used = share(r.CPU.Server) + "·" + share(r.CPU.Database) + "·" + share(r.CPU.Generator)
	}
	if r.ResidentMiB > 0 {
		resident = fmt.Sprintf("%.1f", r.ResidentMiB)
	}
	if r.System != sqlLines {
		relay = fmt.Sprintf("%.0f", r.RelayMS)
	}
	return strings.TrimRight(fmt.Sprintf("%-36s %9.0f %8.2f %8.2f %8.2f %8.2f  %-22s %7s %7s  %s",
		r.Name, r.PerSecond, r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max, used, resident, relay, remarks(r)), " ")
}

// share leaves out who had no part in it.
func share(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", seconds)
}

func remarks(r *result) string {
	var parts []string
	for _, failure := range slices.Sorted(maps.Keys(r.Failures)) {
		parts = append(parts, fmt.Sprintf("%s: %d", failure, r.Failures[failure]))
	}
	if r.Open {
		parts = append(parts, fmt.Sprintf("offered %d/s", r.OfferedPS))
	}
	if r.Credited != nil {
		parts = append(parts, fmt.Sprintf("credited/accepted %.6f", *r.Credited))
	}
	for _, way := range slices.Sorted(maps.Keys(r.Told)) {
		parts = append(parts, fmt.Sprintf("%s told %d", way, r.Told[way]))
	}
	if r.Fault != "" {
		parts = append(parts, "FAULT: "+r.Fault)
	}
	return strings.Join(parts, ", ")
}

// print tells the ratios, the starts and the table "Reach".
func (r *report) print(out io.Writer) {
	for n, one := range r.Runs {
		one.print(out, n+1)
	}
	fmt.Fprintf(out, "PostgreSQL:")
	for _, name := range slices.Sorted(maps.Keys(r.PostgreSQL)) {
		fmt.Fprintf(out, " %s=%s", name, r.PostgreSQL[name])
	}
	fmt.Fprintf(out, "\n%d processors, %s\n\nReach, the median of %d runs; PostgreSQL and 64 connections where nothing else is said\n\n", r.Processors, r.Go, len(r.Runs))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "work\treach\tmeasured\t\teach run")
	for _, line := range r.Reach {
		each := make([]string, len(line.Each))
		for i, value := range line.Each {
			each[i] = fmt.Sprintf(line.format, value)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", line.Work, line.Wanted, line.text(), line.verdict(), strings.Join(each, ", "))
	}
	_ = table.Flush() // nowhere to say that it failed
}

func (r *run) print(out io.Writer, number int) {
	fmt.Fprintf(out, "run %d: throughput as a ratio to the SQL lines of the same run\n\n", number)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "cell\t/s\tto d\tto dp\tto e\tto b\t")
	for _, found := range r.Results {
		if found.Open {
			continue
		}
		fmt.Fprintf(table, "%s\t%.0f", found.Name, found.PerSecond)
		for _, label := range []string{lineD, lineDP, lineE, lineB} {
			ratio, ok := found.Ratios[label]
			if ok {
				fmt.Fprintf(table, "\t%.2f", ratio)
			} else {
				fmt.Fprint(table, "\t-")
			}
		}
		fmt.Fprintln(table, "\t")
	}
	_ = table.Flush() // nowhere to say that it failed
	fmt.Fprintf(out, "\nfsync of 8 KiB: %.2f ms in the median\n", r.FsyncMS)
	for _, found := range r.Results {
		if len(found.Parts) > 1 {
			fmt.Fprintf(out, "%s before and after: %.0f, %.0f /s\n", found.Name, found.Parts[0], found.Parts[1])
		}
	}
	for _, s := range r.Starts {
		fmt.Fprintf(out, "%s: first answer %.0f ms after the start, on an empty database %.0f ms\n", s.System, s.MigratedMS, s.EmptyMS)
	}
	for _, fault := range r.faults() {
		fmt.Fprintln(out, "FAULT:", fault)
	}
	fmt.Fprintln(out)
}
