package relay_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
	"florin/service/relay"
)

// running is a relay and its subscriptions as a server runs them.
type running struct {
	b     *testing.B
	db    *database.DB
	log   *database.Log
	all   *relay.Subscriptions
	relay *relay.Relay
	ctx   context.Context
	ends  sync.WaitGroup
}

func runServer(b *testing.B, dialect database.Dialect) *running {
	db := databasetest.Open(b, dialect, database.Options{})
	log, leases := database.NewLog(db, time.Now), database.NewLeases(db, time.Now)
	settings := relay.Settings{Holder: "bench", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{b: b, db: db, log: log, all: relay.NewSubscriptions(log, leases, settings), ctx: ctx}
	r.relay = relay.New(log, leases, settings, r.all.Moved)
	r.ends.Go(func() { _ = r.relay.Run(ctx) }) // returns nil when ctx has ended
	b.Cleanup(func() {
		cancel()
		r.ends.Wait()
	})
	return r
}

// commit is a commit of the server, which it knows of.
func (r *running) commit(events []account.PaymentEvent) {
	batch, err := databasetest.CommitBatch(r.ctx, r.db, events...)
	require.NoError(r.b, err)
	r.relay.Committed(batch)
}

func (r *running) subscribe(name string, handle eventbus.Handler) {
	require.NoError(r.b, r.all.Prepare(r.ctx, name))
	r.ends.Go(func() { _ = r.all.Subscribe(r.ctx, name, handle) }) // the same
}

// BenchmarkEventsLatency commits 500 events a second for five seconds, five in a commit as group commit does, and reports the time
// from the commit to the subscriber's handler. A second before, in which connections are opened, does not count.
func BenchmarkEventsLatency(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			const warmUp, commits, each, every = 100, 500, 5, 10 * time.Millisecond
			for b.Loop() {
				r := runServer(b, dialect)
				var mu sync.Mutex
				committed, took := make(map[string]time.Duration), make([]time.Duration, 0, commits*each)
				arrived := make(map[string]time.Duration)
				done := make(chan struct{})
				r.subscribe("latency", func(_ context.Context, e account.PaymentEvent) error {
					mu.Lock()
					defer mu.Unlock()
					if arrived[e.EventID] = b.Elapsed(); len(arrived) == (warmUp+commits)*each {
						close(done)
					}
					return nil
				})
				tick := time.NewTicker(every)
				for n := range warmUp + commits {
					<-tick.C
					var events []account.PaymentEvent
					for range each {
						events = append(events, eventbustest.Events(1)...)
					}
					r.commit(events)
					if n < warmUp {
						continue
					}
					now := b.Elapsed()
					mu.Lock()
					for _, e := range events {
						committed[e.EventID] = now
					}
					mu.Unlock()
				}
				tick.Stop()
				<-done
				for id, at := range committed {
					took = append(took, max(0, arrived[id]-at))
				}
				slices.Sort(took)
				b.ReportMetric(1000*took[len(took)/2].Seconds(), "p50-ms")
				b.ReportMetric(1000*took[len(took)*99/100].Seconds(), "p99-ms")
			}
		})
	}
}

// BenchmarkEventsDrain has a subscriber that was away work off 20,000 events.
func BenchmarkEventsDrain(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			const total, each = 20_000, 500
			for b.Loop() {
				r := runServer(b, dialect)
				require.NoError(b, r.all.Prepare(r.ctx, "drain"))
				for range total / each {
					var events []account.PaymentEvent
					for range each {
						events = append(events, eventbustest.Events(1)...)
					}
					r.commit(events)
				}
				require.Eventually(b, func() bool {
					head, err := r.log.Head(r.ctx)
					return err == nil && head == total
				}, time.Minute, 10*time.Millisecond)
				came, done := 0, make(chan struct{})
				began := b.Elapsed()
				r.subscribe("drain", func(context.Context, account.PaymentEvent) error {
					if came++; came == total {
						close(done)
					}
					return nil
				})
				<-done
				b.ReportMetric(total/(b.Elapsed()-began).Seconds(), "events/s")
			}
		})
	}
}
