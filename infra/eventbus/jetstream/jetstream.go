// Package jetstream carries payment events over NATS JetStream, as CloudEvents in one stream. It needs a server of version
// 2.11 or later.
package jetstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"florin/pkg/eventbus"
)

// Scheme is the one of URLs that name a JetStream.
const Scheme = "nats"

// The bounds of one exchange with the broker.
const (
	dialWithin    = 2 * time.Second
	publishWithin = 5 * time.Second
)

const (
	// duplicatesFor is how long the broker knows an event's id. It is longer than the default of two minutes, so that a sink
	// which was away for a while repeats nothing. Beyond it, consumers know a repeat by transaction and seq.
	duplicatesFor = 15 * time.Minute
	// keepFor is how long the stream keeps events, unless max_age says otherwise.
	keepFor = 7 * 24 * time.Hour
)

// Bus is one subject on a JetStream.
type Bus struct {
	broker      eventbus.Broker
	options     eventbus.Options
	stream      string // "" for one named after the subject
	replicas    int    // 0 for three where the cluster has three servers
	maxAge      time.Duration
	credentials string
	tls         *tls.Config

	mu     sync.Mutex
	conn   *nats.Conn
	js     jetstream.JetStream
	name   string // the stream's, once it was seen
	closed bool
}

var (
	_ eventbus.EventBus = (*Bus)(nil)
	_ eventbus.Sink     = (*Bus)(nil)
)

// Open returns a bus and touches no network: a broker that is away hinders nobody. The error is a fault of the URL.
// Its options: stream, replicas, max_age, creds (a credentials file), tls, ca, cert, key.
func Open(broker eventbus.Broker, options eventbus.Options) (*Bus, error) {
	read := broker.Options()
	b := &Bus{broker: broker, options: options.WithDefaults(), stream: read.Text("stream", ""), replicas: read.Count("replicas"),
		maxAge: read.Duration("max_age", keepFor), credentials: read.File("creds"), tls: read.TLS()}
	if err := read.Err(); err != nil {
		return nil, err
	}
	return b, nil
}

// Capabilities says what the bus keeps of the contract.
func (*Bus) Capabilities() eventbus.Capabilities {
	return eventbus.Capabilities{Ordered: true, Redelivers: true, SetsAside: true, Groups: true, Durable: true, Bounded: true, Traced: true}
}

// connect returns the connection, which reconnects by itself for ever once it was begun.
func (b *Bus) connect() (*nats.Conn, jetstream.JetStream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, eventbus.Away("connect", nats.ErrConnectionClosed)
	}
	if b.conn == nil {
		conn, err := nats.Connect(strings.Join(b.broker.Hosts, ","), b.connection()...)
		if err != nil {
			return nil, nil, eventbus.Away("connect", err)
		}
		js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(publishWithin), jetstream.WithPublishAsyncMaxPending(4096))
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		b.conn, b.js = conn, js
	}
	if !b.conn.IsConnected() {
		return nil, nil, eventbus.Away("connect", cmp.Or(b.conn.LastError(), nats.ErrDisconnected))
	}
	return b.conn, b.js, nil
}

func (b *Bus) connection() []nats.Option {
	options := []nats.Option{
		nats.Name("florin"), nats.Timeout(dialWithin), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond), nats.ReconnectJitter(200*time.Millisecond, 200*time.Millisecond),
		// What cannot be sent now must fail now: the log is the buffer.
		nats.ReconnectBufSize(-1), nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.warn("disconnected", err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.warn("failed", err) }),
	}
	if b.broker.User != "" {
		options = append(options, nats.UserInfo(b.broker.User, b.broker.Password))
	}
	if b.credentials != "" {
		options = append(options, nats.UserCredentials(b.credentials))
	}
	if b.tls != nil {
		options = append(options, nats.Secure(b.tls))
	}
	return options
}

func (b *Bus) warn(what string, err error) {
	b.options.Logger.Warn("broker "+what, slog.String("broker", b.broker.SubscriberName()), slog.Any("error", err))
}

// ensure finds the stream of the subject or creates it, and returns its name.
func (b *Bus) ensure(ctx context.Context) (jetstream.JetStream, string, error) {
	conn, js, err := b.connect()
	if err != nil {
		return nil, "", err
	}
	b.mu.Lock()
	name := b.name
	b.mu.Unlock()
	if name != "" {
		return js, name, nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	name, err = js.StreamNameBySubject(ctx, b.broker.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		name, err = b.create(ctx, conn, js)
	case err == nil:
		err = b.check(ctx, js, name)
	}
	if err != nil {
		return nil, "", eventbus.Away("find or create the stream", err)
	}
	b.mu.Lock()
	b.name = name
	b.mu.Unlock()
	return js, name, nil
}

// Ping says whether there is a connection and the stream.
func (b *Bus) Ping(ctx context.Context) error {
	_, _, err := b.ensure(ctx)
	return err
}

// forget makes the next look for the stream again: it may be gone.
func (b *Bus) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.name = ""
}

func (b *Bus) create(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (string, error) {
	replicas := b.replicas
	if replicas == 0 {
		replicas = 1
		if len(conn.Servers()) >= 3 {
			replicas = 3
		}
	}
	name := cmp.Or(b.stream, strings.ToUpper(plain(b.broker.Name)))
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{b.broker.Name}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Replicas: replicas, Duplicates: min(duplicatesFor, b.maxAge), MaxAge: b.maxAge, MaxMsgSize: 2 * eventbus.MaxEventBytes,
		Description: "Payment events of Florin.",
	})
	if err != nil {
		return "", fmt.Errorf("create stream %s with %d replicas: %w", name, replicas, err)
	}
	return name, nil
}

// check looks at a stream that somebody else has made. What is weak about it is said, and used.
func (b *Bus) check(ctx context.Context, js jetstream.JetStream, name string) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return err
	}
	config := stream.CachedInfo().Config
	if config.Retention != jetstream.LimitsPolicy {
		return fmt.Errorf("stream %s forgets what was read: its retention must be limits", name)
	}
	if config.Duplicates < min(duplicatesFor, b.maxAge) {
		b.options.Logger.WarnContext(ctx, "the stream knows repeats for a short time only", slog.String("stream", name),
			slog.Duration("duplicates", config.Duplicates))
	}
	return nil
}

// plain is a name of letters, digits, _ and - alone, as streams and consumers must have.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, name)
}

// Close ends the connection.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn != nil {
		b.conn.Close()
	}
	return nil
}
