// Package kafka carries payment events over Kafka, as CloudEvents in one topic whose keys are the transactions.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"florin/pkg/eventbus"
)

// Scheme is the one of URLs that name a Kafka.
const Scheme = "kafka"

// The bounds of one exchange with the broker.
const (
	dialWithin    = 2 * time.Second
	publishWithin = 5 * time.Second
)

// Bus is one topic of a Kafka.
type Bus struct {
	broker     eventbus.Broker
	options    eventbus.Options
	partitions int // of a topic that must be created; 0 for the broker's default
	replicas   int // the same
	tls        *tls.Config
	sasl       sasl.Mechanism // nil for none

	mu      sync.Mutex
	client  *kgo.Client
	ensured bool
	stuck   bool // records may be under way that were given up
	closed  bool
}

var (
	_ eventbus.EventBus = (*Bus)(nil)
	_ eventbus.Sink     = (*Bus)(nil)
)

// Open returns a bus and touches no network: a broker that is away hinders nobody. The error is a fault of the URL.
// Its options: partitions, replicas, sasl (scram-sha-512, scram-sha-256 or plain, where there is a user), tls, ca, cert, key.
func Open(broker eventbus.Broker, options eventbus.Options) (*Bus, error) {
	read := broker.Options()
	b := &Bus{broker: broker, options: options.WithDefaults(), partitions: read.Count("partitions"), replicas: read.Count("replicas"),
		tls: read.TLS()}
	mechanism := read.OneOf("sasl", "scram-sha-512", "scram-sha-256", "plain")
	if err := read.Err(); err != nil {
		return nil, err
	}
	if broker.User != "" {
		switch auth := (scram.Auth{User: broker.User, Pass: broker.Password}); mechanism {
		case "plain":
			b.sasl = plain.Auth{User: broker.User, Pass: broker.Password}.AsMechanism()
		case "scram-sha-256":
			b.sasl = auth.AsSha256Mechanism()
		default:
			b.sasl = auth.AsSha512Mechanism()
		}
	}
	return b, nil
}

// Capabilities says what the bus keeps of the contract. The members of a group divide the partitions among themselves.
func (*Bus) Capabilities() eventbus.Capabilities {
	return eventbus.Capabilities{Ordered: true, Redelivers: true, SetsAside: true, Groups: true, Durable: true, Bounded: true, Traced: true}
}

// connection is what every client of this bus is made with.
func (b *Bus) connection() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(b.broker.Hosts...), kgo.ClientID("florin"), kgo.DialTimeout(dialWithin),
		kgo.RetryTimeout(publishWithin)}
	if b.tls != nil {
		options = append(options, kgo.DialTLSConfig(b.tls))
	}
	if b.sasl != nil {
		options = append(options, kgo.SASL(b.sasl))
	}
	return options
}

// ready returns the client that publishes, once the topic is there.
func (b *Bus) ready(ctx context.Context) (*kgo.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, eventbus.Away("connect", kgo.ErrClientClosed)
	}
	if b.client == nil {
		// The producer is idempotent: what is sent again because an answer was lost is stored once and in its place.
		client, err := kgo.NewClient(append(b.connection(), kgo.DefaultProduceTopic(b.broker.Name), kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(publishWithin), kgo.UnknownTopicRetries(2),
			kgo.ProducerBatchMaxBytes(16*eventbus.MaxEventBytes))...)
		if err != nil {
			return nil, err
		}
		b.client = client
	}
	if b.stuck {
		if err := b.client.Flush(ctx); err != nil {
			return nil, eventbus.Away("flush", err)
		}
		b.stuck = false
	}
	if !b.ensured {
		if err := b.ensure(ctx, b.client); err != nil {
			return nil, err
		}
		b.ensured = true
	}
	return b.client, nil
}

// Ping says whether a broker answers and the topic is there.
func (b *Bus) Ping(ctx context.Context) error {
	client, err := b.ready(ctx)
	if err != nil {
		return err
	}
	if err := client.Ping(ctx); err != nil {
		return eventbus.Away("ping", err)
	}
	return nil
}

// ensure creates the topic where it is missing.
func (b *Bus) ensure(ctx context.Context, client *kgo.Client) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = b.broker.Name, -1, -1
	if b.partitions > 0 {
		topic.NumPartitions = int32(min(b.partitions, math.MaxInt16))
	}
	if b.replicas > 0 {
		topic.ReplicationFactor = int16(min(b.replicas, math.MaxInt16))
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return eventbus.Away("create topic", err)
	}
	for _, t := range answer.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
			// Whoever may not create it finds out when publishing whether it is there.
		default:
			return eventbus.Away(fmt.Sprintf("create topic %s", b.broker.Name), err)
		}
	}
	return nil
}

// doubt makes the next publication begin by finding out how things stand.
func (b *Bus) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ensured, b.stuck = false, true
}

// Close ends the connection.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.client != nil {
		b.client.Close()
	}
	return nil
}
