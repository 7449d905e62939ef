package middleware

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// failing is a listener whose accepts fail, one error after the other, before they work.
type failing struct {
	net.Listener
	errors []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errors) > 0 {
		err := f.errors[0]
		f.errors = f.errors[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return f.Listener.Accept()
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn
}

func TestS60_AnAcceptThatFailsForWantOfSomethingIsTriedAgain(t *testing.T) {
	inner := loopback(t)
	l := Patient(&failing{inner, []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}})
	dial(t, inner)
	conn, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestS60_AnAcceptThatWaitsEndsWithItsListener(t *testing.T) {
	inner := loopback(t)
	l := Patient(&failing{inner, make60(syscall.EMFILE)})
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

func make60(err error) (errs []error) {
	for range 60 {
		errs = append(errs, err)
	}
	return errs
}

func TestS60_AnAcceptThatFailsForGoodIsAnError(t *testing.T) {
	_, err := Patient(&failing{loopback(t), []error{syscall.EINVAL}}).Accept()
	require.ErrorIs(t, err, syscall.EINVAL)
}

func TestS59_AConnectionThatSendsNothingIsClosed(t *testing.T) {
	settings := Settings(fiber.DefaultErrorHandler)
	require.LessOrEqual(t, settings.ReadTimeout, 10*time.Second)
	settings.ReadTimeout = 200 * time.Millisecond
	app := fiber.New(settings)
	Harden(app, nil)
	l := loopback(t)
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(Listen(l)) }()
	for _, begin := range []string{"", "G", "GET / HTTP/1.1\r\nHost: a\r\n"} {
		conn := dial(t, l)
		_, err := io.WriteString(conn, begin)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "after %q", begin)
	}
	require.NoError(t, app.Shutdown())
	require.NoError(t, <-ended)
}

func TestS59_ConnectionsAreBoundedPerAddressAndInAll(t *testing.T) {
	refused, inner := 0, loopback(t)
	l := Connections{PerAddress: 2, Total: 3, Refused: func() { refused++ }}.Bound(inner)
	accept := func() net.Conn {
		conn, err := l.Accept()
		require.NoError(t, err)
		return conn
	}
	dial(t, inner)
	dial(t, inner)
	first := accept()
	accept()
	over := dial(t, inner)
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := elsewhere.Dial("tcp", inner.Addr().String())
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	require.Equal(t, "127.0.0.2", netip.MustParseAddrPort(accept().RemoteAddr().String()).Addr().String())
	require.Equal(t, 1, refused)
	_, err = over.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, first.Close())
	_ = first.Close() // gives its place back once
	dial(t, inner)
	accept()
	require.Equal(t, 1, refused)
}

func TestS59_TheBoundInAllLeavesFilesForTheRest(t *testing.T) {
	require.Equal(t, 150, MostConnections(300))
	require.Equal(t, 768, MostConnections(1024))
	require.Equal(t, MaxConnections, MostConnections(1<<20))
}
