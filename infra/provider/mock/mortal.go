package mock

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"

	"florin/pkg/crashpoint"
)

// mortal is a connection that a build with crash points can die on once a request has left. The transport's own trace
// says WroteRequest while the request is still in its buffer, so it is the connection that must tell.
type mortal struct {
	net.Conn
	armed atomic.Bool
}

func (m *mortal) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	if err == nil && m.armed.Swap(false) {
		crashpoint.Hit(crashpoint.ProviderCallUnanswered)
	}
	return n, err
}

func dialMortal(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &mortal{Conn: conn}, nil
	}
}

// dyingWhenSent arms the connection that a request gets.
func dyingWhenSent(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if m, ok := got.Conn.(*mortal); ok {
			m.armed.Store(true)
		}
	}})
}
