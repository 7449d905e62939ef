package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// afterFailure is how long a worker of a closed loop rests when an operation failed, so that refusals do not become the load.
const afterFailure = 10 * time.Millisecond

// operation does one piece of work and blocks until it is answered. It returns "" for a success, else what went wrong, as
// it is counted: "503", "network".
type operation func(ctx context.Context) (failure string)

// window is when a load is measured: duration, after a warm-up. edge is called at its beginning and at its end, in the
// goroutine of whoever runs the load.
type window struct {
	warmup, duration time.Duration
	edge             func()
}

// measured is what became of a load within its window.
type measured struct {
	latency  histogram
	done     int64 // successes that ended within the window
	failures map[string]int64
	elapsed  time.Duration
}

func (m *measured) merge(other *measured) {
	m.latency.merge(&other.latency)
	m.done += other.done
	m.elapsed = max(m.elapsed, other.elapsed)
	for failure, n := range other.failures {
		m.fail(failure, n)
	}
}

func (m *measured) fail(failure string, n int64) {
	if m.failures == nil {
		m.failures = map[string]int64{}
	}
	m.failures[failure] += n
}

// runClosed has each worker do one operation after the other. What it measures is what the system can do with so many
// clients; its latencies are theirs, and say nothing of clients who do not wait for each other: see runOpen.
func runClosed(ctx context.Context, workers []operation, w window) measured {
	begin := time.Now()
	from, until := begin.Add(w.warmup), begin.Add(w.warmup+w.duration)
	return runAll(ctx, workers, w, from, until, func(work operation, m *measured) {
		for ctx.Err() == nil {
			started := time.Now()
			if !started.Before(until) {
				return
			}
			failure := work(ctx)
			ended := time.Now()
			if !ended.Before(from) && ended.Before(until) {
				m.count(failure, ended.Sub(started))
			}
			if failure != "" {
				waitUntil(ctx, ended.Add(afterFailure))
			}
		}
	})
}

func (m *measured) count(failure string, took time.Duration) {
	if failure != "" {
		m.fail(failure, 1)
		return
	}
	m.latency.record(took)
	m.done++
}

// notSent is the failure of an operation that no worker was free for until long after its time.
const notSent = "not_sent"

// openGrace is how long after its end an open loop still begins operations that are overdue.
const openGrace = 5 * time.Second

// runOpen begins operations at a fixed rate a second, whether or not those before them have been answered, as long as a worker
// is free. Latency counts from when an operation was to begin, so that a stall is seen by everything that it kept waiting
// (coordinated omission), and an operation that was never begun counts with the time that it waited in vain.
func runOpen(ctx context.Context, workers []operation, rate int64, w window) measured {
	p := newPacer(time.Now(), rate, w.warmup+w.duration)
	from, until := p.begin.Add(w.warmup), p.begin.Add(w.warmup+w.duration)
	return runAll(ctx, workers, w, from, until, func(work operation, m *measured) {
		for ctx.Err() == nil {
			intended, ok := p.take()
			if !ok || !waitUntil(ctx, intended) {
				return
			}
			failure := notSent
			if time.Now().Before(until.Add(openGrace)) {
				failure = work(ctx)
			}
			ended := time.Now()
			if intended.Before(from) {
				continue
			}
			m.latency.record(ended.Sub(intended))
			switch {
			case failure != "":
				m.fail(failure, 1)
			case ended.Before(until):
				m.done++
			}
		}
	})
}

// runAll runs the workers and calls the window's edges beside them.
func runAll(ctx context.Context, workers []operation, w window, from, until time.Time, loop func(operation, *measured)) measured {
	parts := make([]measured, len(workers))
	var running sync.WaitGroup
	for i, work := range workers {
		running.Go(func() { loop(work, &parts[i]) })
	}
	for _, edge := range []time.Time{from, until} {
		if waitUntil(ctx, edge) && w.edge != nil {
			w.edge()
		}
	}
	running.Wait()
	total := measured{elapsed: w.duration}
	for i := range parts {
		total.merge(&parts[i])
	}
	return total
}

// pacer hands out the times at which operations are to begin: the i-th is begin + i/rate, whatever became of those before.
type pacer struct {
	begin time.Time
	rate  int64
	count int64
	next  atomic.Int64
}

func newPacer(begin time.Time, rate int64, length time.Duration) *pacer {
	return &pacer{begin: begin, rate: rate, count: int64(length) * rate / int64(time.Second)}
}

// take is safe for concurrent use. It answers false once the time is over.
func (p *pacer) take() (intended time.Time, ok bool) {
	i := p.next.Add(1) - 1
	return p.begin.Add(time.Duration(i * int64(time.Second) / p.rate)), i < p.count
}

// waitUntil returns false where ctx ends first. A time that has passed does not block.
func waitUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
