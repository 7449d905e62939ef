package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printGrowth tells what became of the load and of each read as the books grew: in figures, and as a ratio to the first size.
func (r *report) printGrowth(out io.Writer) {
	for n, one := range r.Runs {
		fmt.Fprintf(out, "run %d: what grows with the books; × is the ratio to %s accounts:transactions\n\n", n+1, one.Growth[0].size)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		printSizes(table, one.Growth)
		printReads(table, one.Growth)
		_ = table.Flush() // nowhere to say that it failed
		fmt.Fprintf(out, "\nfsync of 8 KiB: %.2f ms in the median\n", one.FsyncMS)
		for _, fault := range one.faults() {
			fmt.Fprintln(out, "FAULT:", fault)
		}
		fmt.Fprintln(out)
	}
}

func printSizes(out io.Writer, all []*grown) {
	row := func(name, format string, value func(g *grown) float64, ratio bool) {
		fmt.Fprint(out, name)
		for _, g := range all {
			fmt.Fprintf(out, "\t"+format, value(g))
			if ratio {
				fmt.Fprintf(out, "\t%s", times(value(g), value(all[0])))
			} else {
				fmt.Fprint(out, "\t")
			}
		}
		fmt.Fprintln(out, "\t")
	}
	fmt.Fprint(out, "accounts:transactions")
	for _, g := range all {
		fmt.Fprintf(out, "\t%s\t×", g.size)
	}
	fmt.Fprintln(out, "\t")
	row("fill, s", "%.0f", func(g *grown) float64 { return g.FillS }, false)
	row("tables and indexes, MB", "%.0f", func(g *grown) float64 { return float64(sum(g.Bytes)) / 1e6 }, false)
	row("bytes for each transfer added", "%.0f", func(g *grown) float64 { return g.BytesPerTransfer }, false)
	row("transfers, uniform, 64 connections, /s", "%.0f", func(g *grown) float64 { return g.Transfers.PerSecond }, true)
	row("their p50 ms", "%.2f", func(g *grown) float64 { return g.Transfers.Latency.P50 }, true)
	row("their p99 ms", "%.2f", func(g *grown) float64 { return g.Transfers.Latency.P99 }, true)
	row("their database CPU, s/1000", "%.3f", func(g *grown) float64 { return databaseOf1000(g.Transfers.CPU) }, true)
	row("resident memory of the server, MiB", "%.1f", func(g *grown) float64 { return g.Transfers.ResidentMiB }, false)
}

func printReads(out io.Writer, all []*grown) {
	for i, read := range all[0].Reads {
		row := func(what, format string, value func(r readLatency) float64) {
			fmt.Fprint(out, read.Name+", "+what)
			for _, g := range all {
				fmt.Fprintf(out, "\t"+format+"\t%s", value(g.Reads[i]), times(value(g.Reads[i]), value(read)))
			}
			fmt.Fprintln(out, "\t")
		}
		row("p50 ms", "%.2f", func(r readLatency) float64 { return r.Latency.P50 })
		row("p99 ms", "%.2f", func(r readLatency) float64 { return r.Latency.P99 })
		row("database CPU s/1000", "%.3f", func(r readLatency) float64 { return databaseOf1000(r.CPU) })
	}
}

// databaseOf1000 is the database's processor time, which other work on the machine changes least; 0 where the system does not
// tell.
func databaseOf1000(used *cpu) float64 {
	if used == nil {
		return 0
	}
	return used.Database
}

// times is a ratio.
func times(value, base float64) string {
	if base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", value/base)
}
