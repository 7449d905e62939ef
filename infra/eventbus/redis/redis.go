// Package redis carries payment events over a Redis stream, as CloudEvents. It needs a server of version 6.2 or later.
//
// Redis knows no repeats: a consumer knows one by transaction and seq.
package redis

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// Scheme is the one of URLs that name a Redis.
const Scheme = "redis"

// The bounds of one exchange with the broker.
const (
	dialWithin    = 2 * time.Second
	publishWithin = 5 * time.Second
)

// keepFor is how long the stream keeps events, unless max_age says otherwise.
const keepFor = 7 * 24 * time.Hour

// The fields of an entry. The others are headers.
const (
	fieldID    = "id"
	fieldEvent = "event"
)

// Bus is one stream of a Redis.
type Bus struct {
	broker  eventbus.Broker
	options eventbus.Options
	maxAge  time.Duration
	client  *client
}

var (
	_ eventbus.EventBus = (*Bus)(nil)
	_ eventbus.Sink     = (*Bus)(nil)
)

// errSeveralHosts: a stream is one key, and so on one server of a cluster anyway.
var errSeveralHosts = errors.New("several hosts must be sentinels: name the master with the option sentinel")

// Open returns a bus and touches no network: a broker that is away hinders nobody. The error is a fault of the URL. The hosts
// are sentinels where the option sentinel names the master, and one otherwise. The other options: max_age, tls, ca, cert, key.
func Open(broker eventbus.Broker, options eventbus.Options) (*Bus, error) {
	read := broker.Options()
	maxAge, master, secured := read.Duration("max_age", keepFor), read.Text("sentinel", ""), read.TLS()
	if err := read.Err(); err != nil {
		return nil, err
	}
	if master == "" && len(broker.Hosts) > 1 {
		return nil, errSeveralHosts
	}
	return &Bus{broker: broker, options: options.WithDefaults(), maxAge: maxAge,
		client: newClient(dialer{broker: broker, master: master, secured: secured})}, nil
}

// Capabilities says what the bus keeps of the contract.
func (*Bus) Capabilities() eventbus.Capabilities {
	return eventbus.Capabilities{Ordered: true, Redelivers: true, SetsAside: true, Groups: true, Durable: true, Bounded: true, Traced: true}
}

// PublishPaymentEvent returns when the broker has the event. How safe it is there is a matter of its appendfsync.
// eventbus.ErrAway, eventbus.ErrTooLarge.
func (b *Bus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	return b.PublishBatch(ctx, []eventbus.PositionedEvent{{Event: event}})[0]
}

// PublishBatch returns when the broker has the events, or has not.
func (b *Bus) PublishBatch(ctx context.Context, events []eventbus.PositionedEvent) []error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	return eventbus.InWaves(events, func(wave []eventbus.PositionedEvent) []error {
		return eventbus.SendEach(ctx, wave, func(messages []eventbus.Message) []error { return b.send(ctx, messages) })
	})
}

func (b *Bus) send(ctx context.Context, messages []eventbus.Message) []error {
	oldest := strconv.FormatInt(b.options.Now().Add(-b.maxAge).UnixMilli(), 10)
	each := make([][]any, len(messages))
	for i, m := range messages {
		each[i] = []any{b.broker.Name, "MINID", "~", oldest, "*", fieldID, m.ID, fieldEvent, string(m.Body)}
		for name, value := range m.Headers {
			each[i] = append(each[i], name, value)
		}
	}
	results := b.client.pipeline(ctx, "XADD", each)
	for i, err := range results {
		if err != nil {
			results[i] = eventbus.Away("publish", err)
		}
	}
	return results
}

// Ping says whether the broker answers.
func (b *Bus) Ping(ctx context.Context) error {
	if _, err := b.client.do(ctx, "PING"); err != nil {
		return eventbus.Away("ping", err)
	}
	return nil
}

func (b *Bus) warn(ctx context.Context, what string, err error) {
	b.options.Logger.WarnContext(ctx, "broker "+what, slog.String("broker", b.broker.SubscriberName()), slog.Any("error", err))
}

// Close ends the connections.
func (b *Bus) Close() error { return b.client.close() }

// SubscribePaymentEvents reads the stream in a consumer group of that name, as eventbus.EventBus says.
func (b *Bus) SubscribePaymentEvents(ctx context.Context, name string, handle eventbus.Handler) error {
	s := newSource(b, name)
	alive, stop := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { s.keepTurn(alive) })
	defer beat.Wait()
	defer stop()
	return eventbus.Consume(ctx, s, b.options.Lanes(name), handle)
}
