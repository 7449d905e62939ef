package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
	"florin/service/relay"
)

// brokerRun starts a broker on a port of this machine, and returns what stops it.
type brokerRun func(t *testing.T, port int) (stop func())

// brokerRuns is the three brokers, in this process.
var brokerRuns = map[string]brokerRun{"nats": runNATS, "kafka": runKafka, "redis": runRedis}

func runNATS(t *testing.T, port int) func() {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(20*time.Second))
	return func() {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

func runKafka(t *testing.T, port int) func() {
	cluster, err := kfake.NewCluster(kfake.Ports(port), kfake.DefaultNumPartitions(4))
	require.NoError(t, err)
	return cluster.Close
}

func runRedis(t *testing.T, port int) func() {
	m := miniredis.NewMiniRedis()
	require.NoError(t, m.StartAddr(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))))
	return m.Close
}

// freePort was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// backlog is how many events pile up while a broker is away: FLORIN_DRAIN, or a few thousand.
func backlog(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("FLORIN_DRAIN"), "3000"))
	require.NoError(t, err)
	return n - n%3
}

// TestF109_BacklogDrainsInOrder lets events pile up while a broker is away, from the start on, and reads afterwards what came.
func TestF109_BacklogDrainsInOrder(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		for scheme, run := range brokerRuns {
			t.Run(string(dialect)+"/"+scheme, func(t *testing.T) { drain(t, dialect, scheme, run) })
		}
	}
}

// pile commits events of many transactions at once, interleaved, and gives them their positions.
func pile(t *testing.T, db *database.DB, log *database.Log, settings relay.Settings, total int) map[string]int {
	t.Helper()
	expected := make(map[string]int, total/3)
	relaying := relay.New(log, database.NewLeases(db, settings.Now), settings, nil)
	for made := 0; made < total; {
		batch := min(100, (total-made)/3)
		rows := make([][]account.PaymentEvent, batch)
		for i := range rows {
			rows[i] = eventbustest.Events(3)
			expected[rows[i][0].TransactionID] = 3
		}
		for seq := range 3 {
			var events []account.PaymentEvent
			for _, row := range rows {
				events = append(events, row[seq])
			}
			require.NoError(t, databasetest.CommitEvents(t.Context(), db, events...))
		}
		made += 3 * batch
	}
	for moved := 0; moved < total; {
		n, err := relaying.RunOnce(t.Context())
		require.NoError(t, err)
		moved += n
	}
	return expected
}

func drain(t *testing.T, dialect database.Dialect, scheme string, run brokerRun) {
	db := databasetest.Open(t, dialect, database.Options{})
	log := database.NewLog(db, systemClock)
	settings := relay.Settings{Holder: "drain", Now: systemClock, LeaseTTL: time.Minute, Logger: slog.New(slog.DiscardHandler),
		DeadLetters: &eventbustest.DeadLetters{}, EventRetry: eventbustest.Retry}
	port := freePort(t)
	brokers, err := eventbus.ParseBrokers(fmt.Sprintf("%s://127.0.0.1:%d/florin.events", scheme, port))
	require.NoError(t, err)
	bus, err := openBus(brokers[0], eventbus.Options{Logger: settings.Logger})
	require.NoError(t, err)
	defer bus.Close()
	subscriptions := relay.NewSubscriptions(log, database.NewLeases(db, systemClock), settings)
	require.NoError(t, subscriptions.Prepare(t.Context(), brokers[0].SubscriberName()))
	total := backlog(t)
	expected := pile(t, db, log, settings, total)

	s := relay.NewDurableBatch(log, database.NewLeases(db, systemClock), settings, brokers[0].SubscriberName(), nil, bus.PublishBatch)
	for range eventbustest.Retry.Tries + 2 { // for longer than an event's tries
		settled, err := s.RunOnce(t.Context())
		require.ErrorIs(t, err, eventbus.ErrAway)
		require.Zero(t, settled)
	}
	require.ErrorIs(t, bus.Ping(t.Context()), eventbus.ErrAway)
	defer run(t, port)()

	began := time.Now()
	drained := 0
	require.Eventually(t, func() bool {
		for {
			settled, err := s.RunOnce(t.Context())
			drained += settled
			if err != nil {
				require.ErrorIs(t, err, eventbus.ErrAway)
				return false
			}
			if settled == 0 {
				return drained == total
			}
		}
	}, 5*time.Minute, 10*time.Millisecond)
	t.Logf("%d events drained in %s, %d/s, with the way back to the broker", total, time.Since(began).Round(time.Millisecond),
		int64(total)*int64(time.Second)/int64(time.Since(began)))
	assert.Equal(t, expected, readBack(t, bus.(eventbus.EventBus), total))
}

// readBack reads what the broker has, fails where an event came before its predecessor, and returns the state of a consumer
// that drops repeats.
func readBack(t *testing.T, bus eventbus.EventBus, total int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	state := make(map[string]int)
	seen := make(map[string]bool, total)
	err := bus.SubscribePaymentEvents(ctx, "readback", func(_ context.Context, e account.PaymentEvent) error {
		if e.Seq > state[e.TransactionID]+1 {
			t.Errorf("event %d of transaction %s came after event %d", e.Seq, e.TransactionID, state[e.TransactionID])
		}
		state[e.TransactionID] = max(state[e.TransactionID], e.Seq)
		if seen[e.EventID] = true; len(seen) == total {
			cancel()
		}
		return nil
	})
	require.NoError(t, err)
	require.False(t, errors.Is(ctx.Err(), context.DeadlineExceeded), "%d of %d events came", len(seen), total)
	return state
}
