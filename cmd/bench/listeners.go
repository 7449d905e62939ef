package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/valyala/fasthttp"
)

// sinkStream is the Redis stream that the server publishes to.
const sinkStream = "florin.events"

// listeners are those who are told of payments while they are measured: every user follows GET /events, one user has an
// endpoint for webhooks, and all events go to a broker. They live in this process and do nothing but count, and so cost the
// machine what listeners elsewhere would not.
type listeners struct {
	broker   *server.Server // takes what Redis takes, and keeps nothing
	listener net.Listener
	hooks    fasthttp.Server
	served   chan error
	reading  sync.WaitGroup
	sockets  []net.Conn

	hooked, streamed, published atomic.Int64
}

// openListeners starts the broker and the receiver of webhooks.
func openListeners() (*listeners, error) {
	l := &listeners{served: make(chan error, 1)}
	var err error
	if l.broker, err = server.NewServer("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	err = errors.Join(
		l.broker.Register("CLIENT", func(c *server.Peer, _ string, _ []string) { c.WriteOK() }),
		l.broker.Register("PING", func(c *server.Peer, _ string, _ []string) { c.WriteInline("PONG") }),
		l.broker.Register("XADD", func(c *server.Peer, _ string, _ []string) { c.WriteBulk(fmt.Sprintf("%d-0", l.published.Add(1))) }))
	if err != nil {
		l.broker.Close()
		return nil, fmt.Errorf("open broker: %w", err)
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		l.broker.Close()
		return nil, fmt.Errorf("open receiver of webhooks: %w", err)
	}
	l.hooks = fasthttp.Server{NoDefaultServerHeader: true, NoDefaultDate: true, Handler: func(ctx *fasthttp.RequestCtx) {
		l.hooked.Add(1)
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}}
	go func() { l.served <- l.hooks.Serve(l.listener) }()
	return l, nil
}

// brokerURL is the server's EVENT_BUS_URL.
func (l *listeners) brokerURL() string {
	return "redis://" + l.broker.Addr().String() + "/" + sinkStream
}

// follow begins to listen as the customers.
func (l *listeners) follow(ctx context.Context, c *customers) error {
	first := c.users[0]
	body := fmt.Sprintf(`{"url":"http://%s/"}`, l.listener.Addr())
	if err := first.api.ask(ctx, http.MethodPost, "/webhook-endpoints", body, nil, first.bearer(), c.keys.fresh()); err != nil {
		return err
	}
	for _, u := range c.users {
		if err := l.stream(ctx, c.address, u); err != nil {
			return fmt.Errorf("follow the events: %w", err)
		}
	}
	return nil
}

// stream opens an event stream, which is read until close.
func (l *listeners) stream(ctx context.Context, address string, u *customer) error {
	dialer := net.Dialer{Timeout: answerWithin}
	socket, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	l.sockets = append(l.sockets, socket)
	ask := conn{address: address}
	ask.write(http.MethodGet, "/events", "", []header{u.bearer()})
	if _, err := socket.Write(ask.out); err != nil {
		return err
	}
	lines := bufio.NewReader(socket)
	status, err := lines.ReadString('\n')
	if err != nil {
		return err
	}
	if status != "HTTP/1.1 200 OK\r\n" {
		return fmt.Errorf("answered %q", status)
	}
	l.reading.Go(func() { l.count(lines) })
	return nil
}

// count counts the events of a stream until it ends.
func (l *listeners) count(stream io.Reader) {
	mark := []byte("\nevent:")
	chunk := make([]byte, 32<<10)
	kept := 0 // of the chunk before, because a mark may begin there
	for {
		n, err := stream.Read(chunk[kept:])
		seen := chunk[:kept+n]
		l.streamed.Add(int64(bytes.Count(seen, mark)))
		if err != nil {
			return
		}
		kept = copy(chunk, seen[max(0, len(seen)-len(mark)+1):])
	}
}

// told is how many events have arrived, by the way they came.
func (l *listeners) told() map[string]int64 {
	return map[string]int64{"streams": l.streamed.Load(), "webhooks": l.hooked.Load(), "broker": l.published.Load()}
}

func (l *listeners) close() error {
	for _, socket := range l.sockets {
		socket.Close()
	}
	l.reading.Wait()
	err := errors.Join(l.hooks.Shutdown(), <-l.served)
	l.broker.Close()
	return err
}
