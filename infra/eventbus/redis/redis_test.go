package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	redigo "github.com/gomodule/redigo/redis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/eventbus/redis"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

var streams atomic.Int64

// open opens a bus on a stream of its own.
func open(t *testing.T, host string, letters eventbus.DeadLetters) (bus *redis.Bus, stream string) {
	t.Helper()
	stream = fmt.Sprint("events", streams.Add(1))
	return openAt(t, "redis://"+host+"/"+stream, letters), stream
}

func openAt(t *testing.T, url string, letters eventbus.DeadLetters) *redis.Bus {
	t.Helper()
	brokers, err := eventbus.ParseBrokers(url)
	require.NoError(t, err)
	bus, err := redis.Open(brokers[0], eventbus.Options{DeadLetters: letters, Retry: eventbustest.Retry, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, bus.Close()) })
	return bus
}

// real starts a Redis of this machine, where there is one.
func real(t *testing.T) (host string, found bool) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Log("no redis-server was found: miniredis stands in for it alone")
		return "", false
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	command := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		assert.NoError(t, command.Process.Kill())
		_ = command.Wait() // says that it was killed
	})
	host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	require.Eventually(t, func() bool {
		conn, err := redigo.DialContext(t.Context(), "tcp", host)
		return err == nil && conn.Close() == nil
	}, 10*time.Second, 10*time.Millisecond)
	return host, true
}

// ask gives a server one command.
func ask(t *testing.T, host, command string, arguments ...any) any {
	t.Helper()
	conn, err := redigo.DialContext(t.Context(), "tcp", host)
	require.NoError(t, err)
	defer conn.Close()
	reply, err := conn.Do(command, arguments...)
	require.NoError(t, err)
	return reply
}

// each runs the test on miniredis and, where there is one, on a Redis.
func each(t *testing.T, run func(t *testing.T, host string)) {
	t.Run("miniredis", func(t *testing.T) { run(t, miniredis.RunT(t).Addr()) })
	if host, found := real(t); found {
		t.Run("redis", func(t *testing.T) { run(t, host) })
	}
}

func TestRedisBus(t *testing.T) {
	each(t, func(t *testing.T, host string) {
		eventbustest.Run(t, func(t *testing.T) eventbustest.Harness {
			letters := &eventbustest.DeadLetters{}
			bus, _ := open(t, host, letters)
			return eventbustest.Harness{Bus: bus, Capabilities: bus.Capabilities(), DeadLetters: letters, Publish: eventbustest.PublishEach(bus)}
		})
	})
}

// TestF110_WipedBrokerIsFilledAgain flushes the broker under a listener.
func TestF110_WipedBrokerIsFilledAgain(t *testing.T) {
	each(t, func(t *testing.T, host string) {
		bus, _ := open(t, host, &eventbustest.DeadLetters{})
		h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
		s := eventbustest.Subscribe(t, h, "listener", nil)
		ask(t, host, "FLUSHALL")
		events := eventbustest.Events(3)
		require.NoError(t, h.Publish(t.Context(), events...))
		s.AwaitAll(events)
		s.Stop()
	})
}

// TestPendingOfADeadMemberComesFirst leaves entries handed out and not acknowledged, as a kill does.
func TestPendingOfADeadMemberComesFirst(t *testing.T) {
	each(t, func(t *testing.T, host string) {
		bus, stream := open(t, host, &eventbustest.DeadLetters{})
		h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
		ask(t, host, "XGROUP", "CREATE", stream, "taken", "0", "MKSTREAM")
		events := eventbustest.Events(3)
		require.NoError(t, h.Publish(t.Context(), events[:2]...))
		handed, err := redigo.Values(ask(t, host, "XREADGROUP", "GROUP", "taken", "dead", "STREAMS", stream, ">"), nil)
		require.NoError(t, err)
		require.Len(t, handed[0].([]any)[1], 2)
		require.NoError(t, h.Publish(t.Context(), events[2]))
		got := make(chan account.PaymentEvent, 10)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- bus.SubscribePaymentEvents(ctx, "taken", func(_ context.Context, e account.PaymentEvent) error {
				got <- e
				return nil
			})
		}()
		for _, e := range events {
			assert.Equal(t, e, <-got)
		}
		cancel()
		require.NoError(t, <-ended)
	})
}

// TestOldEntriesAreTrimmed puts the clock forward by more than max_age.
func TestOldEntriesAreTrimmed(t *testing.T) {
	each(t, func(t *testing.T, host string) {
		brokers, err := eventbus.ParseBrokers("redis://" + host + "/trimmed?max_age=1h")
		require.NoError(t, err)
		var ahead time.Duration
		bus, err := redis.Open(brokers[0], eventbus.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
		require.NoError(t, err)
		defer bus.Close()
		for range 300 { // Redis trims whole nodes of a hundred
			require.NoError(t, bus.PublishPaymentEvent(t.Context(), eventbustest.Events(1)[0]))
		}
		ahead = 2 * time.Hour
		require.NoError(t, bus.PublishPaymentEvent(t.Context(), eventbustest.Events(1)[0]))
		length := ask(t, host, "XLEN", "trimmed")
		assert.Less(t, length, int64(150))
	})
}

// TestF109_AbsentBrokerIsAway opens and publishes where nobody listens.
func TestF109_AbsentBrokerIsAway(t *testing.T) {
	bus := openAt(t, "redis://127.0.0.1:1/events", nil)
	require.ErrorIs(t, bus.PublishPaymentEvent(t.Context(), eventbustest.Events(1)[0]), eventbus.ErrAway)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bus.SubscribePaymentEvents(ctx, "nobody", func(context.Context, account.PaymentEvent) error { return nil })
	}()
	cancel()
	require.NoError(t, <-ended)
}
