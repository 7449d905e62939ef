package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
)

// The measures of the picture, in pixels.
const (
	pictureWidth = 900
	labelWidth   = 260
	barHeight    = 16
	barStep      = 22
	topMargin    = 56
)

var colours = map[system]string{sqlLines: "#8a8f98", onPostgres: "#2f6fb3", onePostgres: "#9dbfe3", toldPostgres: "#5f93c6", onSQLite: "#3c8d5a", oneSQLite: "#a5d3b6"}

// picture is an SVG of bars: what each closed cell does in a second, the median of the runs, with its 99th percentile beside it.
func picture(r *report) []byte {
	var bars []*result
	for _, found := range r.Runs[0].Results {
		if !found.Open {
			bars = append(bars, found)
		}
	}
	values, tails := make([]float64, len(bars)), make([]float64, len(bars))
	largest := 1.0
	for i, bar := range bars {
		values[i] = r.medianOf(bar.Name, func(found *result) float64 { return found.PerSecond })
		tails[i] = r.medianOf(bar.Name, func(found *result) float64 { return found.Latency.P99 })
		largest = max(largest, values[i])
	}
	var b bytes.Buffer
	height := topMargin + barStep*len(bars) + 16
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="22" font-size="15">Operations a second, and p99</text>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="42" fill="#555555">%d processors, PostgreSQL %s with fsync=%s, median of %d runs of %g s</text>`+"\n",
		r.Processors, html.EscapeString(r.PostgreSQL["server_version"]), html.EscapeString(r.PostgreSQL["fsync"]), len(r.Runs), r.DurationS)
	const room = pictureWidth - labelWidth - 150
	for i, bar := range bars {
		y := topMargin + i*barStep
		width := values[i] / largest * room
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+barHeight-4, html.EscapeString(bar.Name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, width, barHeight, colours[bar.System])
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.0f/s, %s ms</text>`+"\n", labelWidth+width+6, y+barHeight-4, values[i], strings.TrimSuffix(fmt.Sprintf("%.1f", tails[i]), ".0"))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// medianOf is over the runs that have the cell.
func (r *report) medianOf(name string, of func(*result) float64) float64 {
	var values []float64
	for _, one := range r.Runs {
		if found := one.find(name); found != nil {
			values = append(values, of(found))
		}
	}
	if len(values) == 0 {
		return 0
	}
	return median(values)
}
