package middleware

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// What a refused sender may still send before its connection is cut.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// Listen wraps a listener so that a client whose body is refused can read the answer: closing a socket with unread
// bytes resets it, and the client would see a broken connection in place of the 413.
func Listen(inner net.Listener) net.Listener { return &listener{Listener: inner} }

type listener struct{ net.Listener }

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lingerer{Conn: conn}, nil
}

type lingerer struct {
	net.Conn
	lingers atomic.Bool
}

// linger makes the next Close of the connection wait for what is under way.
func linger(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if l, ok := conn.(*lingerer); ok {
		l.lingers.Store(true)
	}
}

// Close closes at once, or when it lingers, after the client has closed or the bounds are met.
func (l *lingerer) Close() error {
	half, ok := l.Conn.(interface{ CloseWrite() error })
	if !ok || !l.lingers.Swap(false) || half.CloseWrite() != nil || l.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return l.Conn.Close()
	}
	// What comes is thrown away; an error only means that nothing more comes.
	_, _ = io.Copy(io.Discard, io.LimitReader(l.Conn, lingerBytes))
	return l.Conn.Close()
}
