package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSizesAreReadAndRefused(t *testing.T) {
	var s sizes
	require.NoError(t, s.Set("1000:100000,100000:1000000"))
	assert.Equal(t, sizes{{1000, 100_000}, {100_000, 1_000_000}}, s)
	assert.Equal(t, "1000:100000,100000:1000000", s.String())
	for _, wrong := range []string{"", "1000", "1000:", "x:1000", "99:1000", "1000:999", "1000:1e6", "1000:2000,"} {
		assert.Error(t, s.Set(wrong), wrong)
	}
}

// TestGrowthIsToldAsRatiosToTheFirstSize reads the table that a run prints.
func TestGrowthIsToldAsRatiosToTheFirstSize(t *testing.T) {
	of := func(s size, perSecond, p50 float64) *grown {
		return &grown{size: s, Bytes: map[string]int64{"entries": 3e6, "transactions": 1e6}, Transfers: &result{PerSecond: perSecond},
			Reads: []readLatency{{Name: "balance", Latency: quantiles{P50: p50}, CPU: &cpu{Database: p50 / 10}}}}
	}
	r := report{Runs: []*run{{Growth: []*grown{of(size{1000, 2000}, 400, 2), of(size{1000, 4000}, 300, 3)}}}}
	var out strings.Builder
	r.printGrowth(&out)
	rows := map[string][]string{}
	for line := range strings.Lines(out.String()) {
		for _, name := range []string{"tables and indexes, MB", "transfers, uniform, 64 connections, /s", "balance, p50 ms", "balance, database CPU s/1000"} {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				rows[name] = strings.Fields(rest)
			}
		}
	}
	assert.Equal(t, map[string][]string{
		"tables and indexes, MB":                 {"4", "4"},
		"transfers, uniform, 64 connections, /s": {"400", "1.00", "300", "0.75"},
		"balance, p50 ms":                        {"2.00", "1.00", "3.00", "1.50"},
		"balance, database CPU s/1000":           {"0.200", "1.00", "0.300", "1.50"},
	}, rows)
}
