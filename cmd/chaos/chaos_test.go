package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// testSeed is the short run's. Another one is as good.
const testSeed = 20260101

// TestF96_F113_F122_I21_I27_KilledUnderLoad is the short form of make chaos: a few kills of the server and one of PostgreSQL under
// load, with everything checked behind them. What it does not check is how long anything took.
func TestF96_F113_F122_I21_I27_KilledUnderLoad(t *testing.T) {
	program, err := buildServer(t.Context(), t.TempDir())
	require.NoError(t, err)
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
			defer cancel()
			s := settings{seed: testSeed, kills: 3, pgKills: 1, clients: 8, short: true}
			r, err := torment(ctx, s, dialect, program, t.Logf)
			require.NoError(t, err)
			r.print(t.Output())
			require.Empty(t, r.Findings)
			require.Positive(t, r.Acked)
			require.Equal(t, 3, r.Kills)
			require.Equal(t, 1, r.Checks)
			require.Positive(t, r.BankPayments)
		})
	}
}

func TestASeedReplaysItsSchedule(t *testing.T) {
	s := settings{seed: 7, kills: 100, pgKills: 10}
	for dialect, wanted := range map[database.Dialect]map[victim]int{
		database.SQLite:   {theServer: 100},
		database.Postgres: {theServer: 100, thePostgres: 10},
	} {
		first := plan(s, dialect, s.random(0))
		require.Equal(t, first, plan(s, dialect, s.random(0)))
		other := settings{seed: 8, kills: 100, pgKills: 10}
		require.NotEqual(t, first, plan(other, dialect, other.random(0)))
		kills := map[victim]int{}
		for _, c := range first {
			require.LessOrEqual(t, len(c), stepsInCycle)
			for _, step := range c {
				kills[step.kills]++
			}
		}
		require.Equal(t, wanted, kills)
	}
}
