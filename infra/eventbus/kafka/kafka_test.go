package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"florin/domain/account"
	"florin/infra/eventbus/kafka"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

var topics atomic.Int64

// start starts a Kafka in this process.
func start(t *testing.T, options ...kfake.Opt) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.DefaultNumPartitions(3)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// open opens a bus on a topic of its own.
func open(t *testing.T, hosts []string, letters eventbus.DeadLetters) (bus *kafka.Bus, topic string) {
	t.Helper()
	topic = fmt.Sprint("events", topics.Add(1))
	brokers, err := eventbus.ParseBrokers("kafka://" + strings.Join(hosts, ",") + "/" + topic)
	require.NoError(t, err)
	return openOn(t, brokers[0], letters), topic
}

func openOn(t *testing.T, broker eventbus.Broker, letters eventbus.DeadLetters) *kafka.Bus {
	t.Helper()
	bus, err := kafka.Open(broker, eventbus.Options{DeadLetters: letters, Retry: eventbustest.Retry, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, bus.Close()) })
	return bus
}

func TestKafkaBus(t *testing.T) {
	hosts := start(t)
	eventbustest.Run(t, func(t *testing.T) eventbustest.Harness {
		letters := &eventbustest.DeadLetters{}
		bus, _ := open(t, hosts, letters)
		return eventbustest.Harness{Bus: bus, Capabilities: bus.Capabilities(), DeadLetters: letters, Publish: eventbustest.PublishEach(bus)}
	})
}

// TestEventsOfATransactionShareAPartition reads the topic as another program would.
func TestEventsOfATransactionShareAPartition(t *testing.T) {
	hosts := start(t)
	bus, topic := open(t, hosts, nil)
	var sent []eventbus.PositionedEvent
	for range 20 {
		for _, e := range eventbustest.Events(3) {
			sent = append(sent, eventbus.PositionedEvent{Position: int64(len(sent) + 1), Event: e})
		}
	}
	for _, err := range bus.PublishBatch(t.Context(), sent) {
		require.NoError(t, err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(hosts...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer reader.Close()
	partition, last := map[string]int32{}, map[string]int{}
	for read := 0; read < len(sent); {
		fetched := reader.PollFetches(t.Context())
		require.NoError(t, fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			read++
			event, position, err := eventbus.UnmarshalCloudEvent(r.Value)
			require.NoError(t, err)
			assert.Equal(t, event.TransactionID, string(r.Key))
			assert.Equal(t, sent[position-1].Event, event)
			if event.Seq > 1 {
				assert.Equal(t, partition[event.TransactionID], r.Partition)
			}
			assert.Equal(t, last[event.TransactionID]+1, event.Seq)
			partition[event.TransactionID], last[event.TransactionID] = r.Partition, event.Seq
		})
	}
}

func TestPasswordsAreChecked(t *testing.T) {
	hosts := start(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "florin", "right:password"))
	at := func(userinfo string) *kafka.Bus {
		brokers, err := eventbus.ParseBrokers("kafka://" + userinfo + "@" + strings.Join(hosts, ",") + "/events")
		require.NoError(t, err)
		return openOn(t, brokers[0], nil)
	}
	event := eventbustest.Events(1)[0]
	require.NoError(t, at("florin:right%3Apassword").PublishPaymentEvent(t.Context(), event))
	err := at("florin:wrong").PublishPaymentEvent(t.Context(), event)
	require.ErrorIs(t, err, eventbus.ErrAway)
	assert.NotContains(t, err.Error(), "wrong")
}

// TestF109_AbsentBrokerIsAway opens and publishes where nobody listens.
func TestF109_AbsentBrokerIsAway(t *testing.T) {
	brokers, err := eventbus.ParseBrokers("kafka://127.0.0.1:1/events")
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
