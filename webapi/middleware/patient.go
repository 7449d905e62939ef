package middleware

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Bounds of the connections of one listener.
const (
	// ConnectionsPerAddress is for an IPv4 address or a /64 of IPv6, loopback included.
	ConnectionsPerAddress = 512
	// MaxConnections is for all addresses together. MostConnections lowers it where the process may open fewer files.
	MaxConnections = 8192
	// filesKept is for the database, files and calls to others.
	filesKept = 256
)

// How long an accept waits that failed for want of something, at first and at most.
const (
	acceptDelay    = 5 * time.Millisecond
	maxAcceptDelay = time.Second
)

// MostConnections is how many connections a process may hold that may open so many files.
func MostConnections(files uint64) int {
	if files <= 2*filesKept {
		return max(1, int(files/2))
	}
	return int(min(files-filesKept, MaxConnections))
}

// Patient wraps a listener so that an accept that fails for want of descriptors or memory, or because the client has gone
// meanwhile, is tried again, with a growing delay, until the listener is closed. Such an error is never returned.
func Patient(inner net.Listener) net.Listener {
	return &patient{Listener: inner, closed: make(chan struct{})}
}

type patient struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (p *patient) Accept() (net.Conn, error) {
	delay := acceptDelay
	for {
		conn, err := p.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		again := time.NewTimer(delay)
		select {
		case <-p.closed:
			again.Stop()
			return nil, net.ErrClosed
		case <-again.C:
		}
		delay = min(2*delay, maxAcceptDelay)
	}
}

func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// passes says that an error of accept goes by.
func passes(err error) bool {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EINTR} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// Connections bounds how many connections a listener holds. Total is required; PerAddress is
// ConnectionsPerAddress when 0.
type Connections struct {
	PerAddress, Total int
	// Exempt are addresses that only Total bounds, such as those of proxies, behind which many clients stand.
	Exempt func(netip.Addr) bool
	// Refused is told of each connection that was closed because there are too many.
	Refused func()
}

// Bound wraps a listener so that a connection over the bounds is closed at once, and not returned.
func (c Connections) Bound(inner net.Listener) net.Listener {
	c.PerAddress = cmp.Or(c.PerAddress, ConnectionsPerAddress)
	return &bounded{Listener: inner, limits: c, held: make(map[string]int)}
}

type bounded struct {
	net.Listener
	limits Connections

	mu    sync.Mutex
	total int
	held  map[string]int
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := b.keyOf(conn.RemoteAddr())
		if b.take(key) {
			return &boundedConn{Conn: conn, free: sync.OnceFunc(func() { b.give(key) })}, nil
		}
		_ = conn.Close() // a client that is refused hears nothing
		if b.limits.Refused != nil {
			b.limits.Refused()
		}
	}
}

// keyOf is whose connection it is, "" where it counts for nobody.
func (b *bounded) keyOf(remote net.Addr) string {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return ""
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if b.limits.Exempt != nil && b.limits.Exempt(addr) {
		return ""
	}
	return networkOf(addr)
}

func (b *bounded) take(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= b.limits.Total || key != "" && b.held[key] >= b.limits.PerAddress {
		return false
	}
	b.total++
	if key != "" {
		b.held[key]++
	}
	return true
}

func (b *bounded) give(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if key == "" {
		return
	}
	if b.held[key]--; b.held[key] == 0 {
		delete(b.held, key)
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	free func()
}

// CloseWrite is for a connection that lingers.
func (c *boundedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
