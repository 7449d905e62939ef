package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests run on the clock of a synctest bubble: time passes when everybody waits, and takes none.

// takes is an operation that is answered after d.
func takes(d time.Duration) operation {
	return func(context.Context) string {
		<-time.After(d)
		return ""
	}
}

func TestPacerKeepsTheRateExactly(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newPacer(begin, 3, 2*time.Second)
	var got []time.Duration
	for {
		intended, ok := p.take()
		if !ok {
			break
		}
		got = append(got, intended.Sub(begin))
	}
	const third = time.Second / 3
	// Rounded down from the beginning each time, so that nothing adds up.
	assert.Equal(t, []time.Duration{0, third, 2 * time.Second / 3, time.Second, 4 * time.Second / 3, 5 * time.Second / 3}, got)
}

func TestOpenLoopBeginsAtTheRateWhateverTheAnswersTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		var begun []time.Duration
		work := func(context.Context) string {
			mu.Lock()
			begun = append(begun, time.Since(begin))
			mu.Unlock()
			<-time.After(25 * time.Millisecond)
			return ""
		}
		m := runOpen(t.Context(), []operation{work, work, work}, 100, window{duration: 50 * time.Millisecond})
		const ms = time.Millisecond
		assert.Equal(t, []time.Duration{0, 10 * ms, 20 * ms, 30 * ms, 40 * ms}, begun)
		assert.EqualValues(t, 5, m.latency.total)
		assert.Equal(t, 25*ms, m.latency.max, "a free worker begins in time")
		assert.EqualValues(t, 3, m.done, "two were answered after the window")
		assert.Empty(t, m.failures)
	})
}

// A closed loop would show one slow answer out of a hundred. Everything that was to begin meanwhile has waited too.
func TestOpenLoopCountsTheWaitBehindAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		work := func(context.Context) string {
			if first {
				first = false
				<-time.After(500 * time.Millisecond)
			}
			return ""
		}
		m := runOpen(t.Context(), []operation{work}, 100, window{duration: time.Second})
		require.EqualValues(t, 100, m.latency.total)
		assert.Equal(t, 500*time.Millisecond, m.latency.max)
		assert.InDelta(t, 250*time.Millisecond, m.latency.quantile(750), float64(10*time.Millisecond), "half of them waited, evenly from 0.5 s down")
	})
}

func TestOpenLoopSaysWhatItCouldNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := runOpen(t.Context(), []operation{takes(time.Hour)}, 10, window{duration: time.Second})
		assert.Equal(t, map[string]int64{notSent: 9}, m.failures)
		assert.Zero(t, m.done)
		assert.EqualValues(t, 10, m.latency.total, "and counts the wait")
	})
}

func TestClosedLoopMeasuresItsWindowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var edges []time.Duration
		m := runClosed(t.Context(), []operation{takes(30 * time.Millisecond), takes(30 * time.Millisecond)}, window{
			warmup: 100 * time.Millisecond, duration: 200 * time.Millisecond,
			edge: func() { edges = append(edges, time.Since(begin)) },
		})
		// Answers at 120, 150, 180, 210, 240, 270 for each of two; the one at 300 ends the window.
		assert.EqualValues(t, 12, m.done)
		assert.Equal(t, 200*time.Millisecond, m.elapsed)
		assert.Equal(t, 30*time.Millisecond, m.latency.quantile(500))
		assert.Equal(t, []time.Duration{100 * time.Millisecond, 300 * time.Millisecond}, edges)
	})
}

func TestClosedLoopCountsFailuresApartAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(context.Context) string { return "503" }
		m := runClosed(t.Context(), []operation{refused}, window{duration: 95 * time.Millisecond})
		assert.Equal(t, map[string]int64{"503": 10}, m.failures)
		assert.Zero(t, m.done)
		assert.Zero(t, m.latency.total)
	})
}

func TestLoopsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, run := range []func(context.Context) measured{
			func(ctx context.Context) measured {
				return runClosed(ctx, []operation{takes(time.Second)}, window{duration: time.Hour})
			},
			func(ctx context.Context) measured {
				return runOpen(ctx, []operation{takes(time.Second)}, 1, window{duration: time.Hour})
			},
		} {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			run(ctx)
			cancel()
			assert.LessOrEqual(t, time.Since(begin), 2*time.Second)
		}
	})
}
