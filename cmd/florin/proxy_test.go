package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a TCP proxy that fails as networks do. It works at once, knows nothing of what it carries, and ends with its
// test. Its methods are safe for concurrent use.
type proxy struct {
	// requests is what goes to the server, replies what comes back.
	requests, replies *direction

	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex
	down bool
	open map[net.Conn]struct{}
}

// direction is what all connections carry one way.
type direction struct {
	mu      sync.Mutex
	held    chan struct{} // closed by release; nil while nothing is held
	limited bool
	limit   int64
	setting int // of limit: each connection counts anew from each one
	passed  int64
	waiting int // connections with bytes that are held
}

// newProxy puts a proxy in front of the address "host:port".
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{requests: &direction{}, replies: &direction{}, target: target, listener: listener, open: map[net.Conn]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// newURLProxy puts a proxy in front of a URL's host and returns the URL that goes through it.
func newURLProxy(t testing.TB, address string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	p = newProxy(t, u.Host)
	u.Host = p.addr()
	return p, u.String()
}

// addr is where the proxy listens.
func (p *proxy) addr() string { return p.listener.Addr().String() }

// cut breaks every connection, and each new one at once, until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.open {
		reset(c)
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// hold lets nothing pass until release; connections stay open.
func (d *direction) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = make(chan struct{})
	}
}

func (d *direction) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held != nil {
		close(d.held)
		d.held = nil
	}
}

// limitData lets each connection, the open ones too, pass n more bytes and breaks it at the next one, until unlimit.
func (d *direction) limitData(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limited, d.limit = true, n
	d.setting++
}

func (d *direction) unlimit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limited = false
}

// bytes is how many bytes have passed so far.
func (d *direction) bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// heldNow is how many connections have bytes that are held back.
func (d *direction) heldNow() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.keep(client) {
			continue
		}
		p.running.Go(func() { p.carry(client) })
	}
}

// keep remembers a connection so that cut finds it, or breaks it where the proxy is down.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		reset(c)
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *proxy) carry(client net.Conn) {
	defer p.forget(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(server) {
		reset(client)
		return
	}
	defer p.forget(server)
	over, end := context.WithCancelCause(context.Background())
	var both sync.WaitGroup
	both.Go(func() { end(p.requests.copy(over, server, client)) })
	both.Go(func() { end(p.replies.copy(over, client, server)) })
	<-over.Done()
	if errors.Is(context.Cause(over), io.EOF) {
		_ = client.Close()
		_ = server.Close()
	} else {
		reset(client)
		reset(server)
	}
	both.Wait()
}

func (p *proxy) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

var errBroken = errors.New("broken by the proxy")

// copy carries bytes until a side ends, which is io.EOF where it does so in order, or until the limit or over.
func (d *direction) copy(over context.Context, to io.Writer, from io.Reader) error {
	buffer := make([]byte, 16<<10)
	var count counter
	for {
		n, err := from.Read(buffer)
		if n > 0 && !d.pass(over, to, buffer[:n], &count) {
			return errBroken
		}
		if err != nil {
			return err
		}
	}
}

// counter is how many bytes one connection has passed since a limit was set.
type counter struct {
	setting int
	passed  int64
}

// pass writes the bytes once they may pass. It returns false where the connection is to end.
func (d *direction) pass(over context.Context, to io.Writer, bytes []byte, count *counter) bool {
	if !d.await(over) {
		return false
	}
	d.mu.Lock()
	if count.setting != d.setting {
		*count = counter{setting: d.setting}
	}
	left := int64(len(bytes))
	if d.limited {
		left = min(left, d.limit-count.passed)
	}
	count.passed += left
	d.passed += left
	d.mu.Unlock()
	if _, err := to.Write(bytes[:left]); err != nil {
		return false
	}
	return left == int64(len(bytes))
}

// await blocks while the direction is held, and returns false where the connection is over first.
func (d *direction) await(over context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting++
	defer func() { d.waiting-- }()
	for d.held != nil {
		held := d.held
		d.mu.Unlock()
		select {
		case <-held:
		case <-over.Done():
		}
		d.mu.Lock()
		if over.Err() != nil {
			return false
		}
	}
	return true
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
	p.running.Wait()
}

// reset breaks a connection at once: the other side sees a reset, not an orderly end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// TestProxy holds the proxy to what the tests believe of it.
func TestProxy(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = echo.Close(); served.Wait() })
	p := newProxy(t, echo.Addr().String())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.addr())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	said := func(c net.Conn, text string) (string, error) {
		if _, err := c.Write([]byte(text)); err != nil {
			return "", err
		}
		back := make([]byte, len(text))
		n, err := io.ReadFull(c, back)
		return string(back[:n]), err
	}

	c := dial()
	back, err := said(c, "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", back)

	p.replies.limitData(3)
	back, err = said(c, "hello")
	require.Error(t, err)
	require.Equal(t, "hel", back)
	p.replies.unlimit()
	back, err = said(dial(), "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", back)

	p.requests.limitData(0)
	before := p.requests.bytes()
	_, err = said(dial(), "hello")
	require.Error(t, err)
	require.Equal(t, before, p.requests.bytes())
	p.requests.unlimit()

	c = dial()
	p.replies.hold()
	answered := make(chan string, 1)
	served.Go(func() { back, _ := said(c, "hello"); answered <- back })
	until(t, "the reply is held", func() bool { return p.replies.heldNow() == 1 })
	require.Empty(t, answered)
	p.replies.release()
	require.Equal(t, "hello", <-answered)

	p.cut()
	_, err = said(c, "hello")
	require.Error(t, err)
	if c, err := net.Dial("tcp", p.addr()); err == nil {
		_, err = said(c, "hello")
		require.Error(t, err)
		_ = c.Close()
	}
	p.heal()
	back, err = said(dial(), "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", back)
}
