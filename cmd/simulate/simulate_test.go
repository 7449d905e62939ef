package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// histories is how many the suite runs; make simulate runs as many as it is told.
const histories = 60

// TestF23_F34_F36_F39_F59_F72_F90_F97_I21_I27_Histories is the short form of make simulate, on SQLite.
func TestF23_F34_F36_F39_F59_F72_F90_F97_I21_I27_Histories(t *testing.T) {
	t.Parallel()
	total, err := many(t.Context(), 1, histories)
	require.NoError(t, err)
	for _, w := range total.wrong {
		t.Errorf("seed %d: %s\nagain: make simulate SEED=%d", w.seed, w.finding, w.seed)
	}
	require.Equal(t, histories, total.histories)
	// Of everything that makes it hard there must have been plenty.
	require.Greater(t, total.operations, 10*histories)
	require.Greater(t, total.unknown, histories)
	require.Greater(t, total.deaths, histories)
	require.Greater(t, total.payments, 5*histories)
}

func TestASeedReplaysItsHistory(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	migrated, err := template(t.Context(), folder)
	require.NoError(t, err)
	first, err := simulate(t.Context(), 42, folder, migrated)
	require.NoError(t, err)
	again, err := simulate(t.Context(), 42, folder, migrated)
	require.NoError(t, err)
	require.Equal(t, first.trace, again.trace)
	other, err := simulate(t.Context(), 43, folder, migrated)
	require.NoError(t, err)
	require.NotEqual(t, first.trace, other.trace)
}

func TestOneHistoryIsPrinted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-seed", "42"}, &out))
	require.Contains(t, out.String(), "op-1")
	out.Reset()
	require.NoError(t, run(t.Context(), []string{"-n", "2", "-from", "42"}, &out))
	require.Contains(t, out.String(), "2 histories from seed 42")
}
