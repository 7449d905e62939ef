package middleware

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/pkg/crashpoint"
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
	// diesAt is the crash point behind the answer that is to be written, "" for none.
	diesAt string
}

// Write writes an answer, or a part of one that is larger than the server's buffer.
func (l *lingerer) Write(b []byte) (int, error) {
	if !crashpoint.Enabled || l.diesAt == "" {
		return l.Conn.Write(b)
	}
	// The client may have the answer, and arm the point for its next request, before this Write returns.
	hit := crashpoint.Behind(l.diesAt)
	n, err := l.Conn.Write(b)
	if err == nil {
		hit()
		l.diesAt = ""
	}
	return n, err
}

// linger makes the next Close of the connection wait for what is under way.
func linger(conn net.Conn) {
	if l, ok := accepted(conn); ok {
		l.lingers.Store(true)
	}
}

// Replied is the crash point of an answer that has been written. The server has no callback behind the write, and before
// it would be another point: so it is the connection that hits it, once its Write has returned.
func Replied(point string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		err := c.Next()
		if l, ok := accepted(c.Context().Conn()); ok && err == nil {
			l.diesAt = point
		}
		return err
	}
}

// accepted is the connection as Listen has wrapped it.
func accepted(conn net.Conn) (*lingerer, bool) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	l, ok := conn.(*lingerer)
	return l, ok
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
