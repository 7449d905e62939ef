package jetstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/eventbus/jetstream"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

var subjects atomic.Int64

// open opens a bus on a subject of its own.
func open(t *testing.T, c *cluster, letters eventbus.DeadLetters) *jetstream.Bus {
	t.Helper()
	return openOn(t, c.broker(fmt.Sprint("test", subjects.Add(1), ".events")), letters)
}

func openOn(t *testing.T, broker eventbus.Broker, letters eventbus.DeadLetters) *jetstream.Bus {
	t.Helper()
	bus, err := jetstream.Open(broker, eventbus.Options{DeadLetters: letters, Retry: eventbustest.Retry, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, bus.Close()) })
	return bus
}

func TestJetStreamBus(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			c := startCluster(t, servers)
			eventbustest.Run(t, func(t *testing.T) eventbustest.Harness {
				letters := &eventbustest.DeadLetters{}
				bus := open(t, c, letters)
				require.Eventually(t, func() bool { return connected(bus) }, 10*time.Second, 10*time.Millisecond)
				return eventbustest.Harness{Bus: bus, Capabilities: bus.Capabilities(), DeadLetters: letters, Publish: eventbustest.PublishEach(bus)}
			})
		})
	}
}

// connected publishes nothing: an event that is too large goes nowhere.
func connected(bus *jetstream.Bus) bool {
	large := eventbustest.Events(1)
	large[0].Metadata = map[string]string{"note": strings.Repeat("x", eventbus.MaxEventBytes)}
	return assert.ErrorIs(new(testing.T), bus.PublishPaymentEvent(context.Background(), large[0]), eventbus.ErrTooLarge)
}

func positioned(from int64, events ...account.PaymentEvent) []eventbus.PositionedEvent {
	list := make([]eventbus.PositionedEvent, len(events))
	for i, e := range events {
		list[i] = eventbus.PositionedEvent{Position: from + int64(i), Event: e}
	}
	return list
}

func admin(t *testing.T, c *cluster) natsjs.JetStream {
	t.Helper()
	conn, err := nats.Connect(strings.Join(c.hosts(), ","), nats.MaxReconnects(-1))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := natsjs.New(conn)
	require.NoError(t, err)
	return js
}

// TestF111_ServerKilledMidRun kills the leader of a stream with three replicas while events are published and read.
func TestF111_ServerKilledMidRun(t *testing.T) {
	c := startCluster(t, 3)
	bus := open(t, c, &eventbustest.DeadLetters{})
	require.Eventually(t, func() bool { return connected(bus) }, 10*time.Second, 10*time.Millisecond)
	h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
	s := eventbustest.Subscribe(t, h, "survivor", nil)

	js := admin(t, c)
	stream, err := js.StreamNameBySubject(t.Context(), fmt.Sprint("test", subjects.Load(), ".events"))
	require.NoError(t, err)
	info, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	assert.Equal(t, 3, info.CachedInfo().Config.Replicas)
	assert.Greater(t, info.CachedInfo().Config.Duplicates, 2*time.Minute)

	var sent []account.PaymentEvent
	for n := range 60 {
		if n == 20 {
			leader := c.leader(js, stream)
			c.stop(leader)
			defer c.start(leader)
		}
		events := eventbustest.Events(3)
		list := positioned(int64(len(sent)+1), events...)
		for len(list) > 0 { // what the broker did not take is published again, as a sink does
			results := bus.PublishBatch(t.Context(), list)
			left := slices.IndexFunc(results, func(err error) bool { return err != nil })
			if left < 0 {
				break
			}
			require.Condition(t, func() bool { return assert.ErrorIs(t, results[left], eventbus.ErrAway) })
			list = list[left:]
		}
		sent = append(sent, events...)
	}
	got := s.AwaitAll(sent)
	last := map[string]int{}
	for _, e := range got {
		require.LessOrEqual(t, e.Seq, last[e.TransactionID]+1, "an event came before its predecessor")
		last[e.TransactionID] = max(last[e.TransactionID], e.Seq)
	}
	s.Stop()
}

// TestF108_RepeatIsDroppedByTheBroker publishes the same events twice, as a sink does whose cursor was not moved.
func TestF108_RepeatIsDroppedByTheBroker(t *testing.T) {
	c := startCluster(t, 1)
	bus := open(t, c, &eventbustest.DeadLetters{})
	require.Eventually(t, func() bool { return connected(bus) }, 10*time.Second, 10*time.Millisecond)
	h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
	s := eventbustest.Subscribe(t, h, "once", nil)
	events := eventbustest.Events(3)
	for range 2 {
		for _, err := range bus.PublishBatch(t.Context(), positioned(7, events...)) {
			require.NoError(t, err)
		}
	}
	after := eventbustest.Events(1)
	require.NoError(t, h.Publish(t.Context(), after...))
	assert.Equal(t, append(events, after...), s.AwaitAll(after))
	s.Stop()
}

// TestF110_WipedBrokerIsFilledAgain loses the stream with its consumers. A listener sees the gap, and gets what is
// published again.
func TestF110_WipedBrokerIsFilledAgain(t *testing.T) {
	c := startCluster(t, 1)
	bus := open(t, c, &eventbustest.DeadLetters{})
	require.Eventually(t, func() bool { return connected(bus) }, 10*time.Second, 10*time.Millisecond)
	h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
	s := eventbustest.Subscribe(t, h, "listener", nil)
	js := admin(t, c)
	stream, err := js.StreamNameBySubject(t.Context(), fmt.Sprint("test", subjects.Load(), ".events"))
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), stream))
	events := eventbustest.Events(3)
	require.Eventually(t, func() bool {
		results := bus.PublishBatch(t.Context(), positioned(1, events...))
		return !slices.ContainsFunc(results, func(err error) bool { return err != nil })
	}, 10*time.Second, 10*time.Millisecond)
	s.AwaitAll(events)
	s.Stop()
}

// TestF116_EventOfANewerVersionIsParked puts a message into the stream that only a later program can read.
func TestF116_EventOfANewerVersionIsParked(t *testing.T) {
	c := startCluster(t, 1)
	letters := &eventbustest.DeadLetters{}
	bus := open(t, c, letters)
	require.Eventually(t, func() bool { return connected(bus) }, 10*time.Second, 10*time.Millisecond)
	h := eventbustest.Harness{Bus: bus, Publish: eventbustest.PublishEach(bus)}
	s := eventbustest.Subscribe(t, h, "old", nil)
	event := eventbustest.Events(1)
	body, err := eventbus.MarshalCloudEvent(1, event[0])
	require.NoError(t, err)
	newer := strings.Replace(string(body), "payment-event:1", "payment-event:2", 1)
	_, err = admin(t, c).Publish(t.Context(), fmt.Sprint("test", subjects.Load(), ".events"), []byte(newer))
	require.NoError(t, err)
	after := eventbustest.Events(1)
	require.NoError(t, h.Publish(t.Context(), after...))
	assert.Equal(t, after, s.AwaitAll(after))
	kept := letters.Await(t, 1)
	assert.Equal(t, newer, kept[0].Payload)
	assert.Equal(t, eventbus.ReasonUnreadable, kept[0].Reason)
	s.Stop()
}

// TestF109_AbsentBrokerIsAway opens and publishes where nobody listens.
func TestF109_AbsentBrokerIsAway(t *testing.T) {
	brokers, err := eventbus.ParseBrokers(fmt.Sprintf("nats://127.0.0.1:%d/florin.events", freePorts(t, 1)[0]))
	require.NoError(t, err)
	bus := openOn(t, brokers[0], nil)
	require.ErrorIs(t, bus.PublishPaymentEvent(t.Context(), eventbustest.Events(1)[0]), eventbus.ErrAway)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bus.SubscribePaymentEvents(ctx, "nobody", func(context.Context, account.PaymentEvent) error { return nil })
	}()
	cancel()
	require.NoError(t, <-ended)
}
