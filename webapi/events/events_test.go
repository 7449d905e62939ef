package events_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/user"
	"florin/pkg/eventbus"
	"florin/service/stream"
	"florin/webapi/events"
	"florin/webapi/middleware"
	"florin/webapi/problem"
)

func TestMain(m *testing.M) {
	// The HTTP server's own clock never stops, and its cleaner sees only after 10 s that it should.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

var ada = uuid.MustParse("0198c0de-0000-7000-8000-0000000000aa")

// verifier believes everybody until it is told not to.
type verifier struct {
	err   atomic.Pointer[error]
	panic atomic.Bool
}

func (v *verifier) Verify(context.Context, string) (user.Principal, error) {
	if v.panic.Load() {
		panic("at the verifier")
	}
	if err := v.err.Load(); err != nil {
		return user.Principal{}, *err
	}
	return user.Principal{UserID: ada}, nil
}

type emptyLog struct {
	err    error
	panics bool
	hangs  bool // until its context ends
}

func (l emptyLog) Head(context.Context) (int64, error) { return 7, nil }
func (l emptyLog) ReadAfter(ctx context.Context, _ int64, _ int) ([]eventbus.PositionedEvent, error) {
	if l.panics {
		panic("at the log")
	}
	if l.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, l.err
}

type meter struct{ ended chan string }

func (meter) StreamOpened()               {}
func (m meter) StreamEnded(reason string) { m.ended <- reason }

type rig struct {
	hub      *stream.Hub
	verifier *verifier
	ended    chan string
	sent     atomic.Int64
	address  string
	position int64
}

func newRig(t *testing.T, log emptyLog, times events.Times, buffer int) *rig {
	t.Helper()
	r := &rig{verifier: &verifier{}, ended: make(chan string, 100), position: 7}
	var err error
	r.hub, err = stream.NewHub(t.Context(), log, stream.Limits{Buffer: buffer}, meter{r.ended})
	require.NoError(t, err)
	app := fiber.New(middleware.Settings(problem.Handler(slog.New(slog.DiscardHandler))))
	middleware.Harden(app, nil)
	handlers := events.New(events.Deps{Hub: r.hub, Verifier: r.verifier, Sent: func(n int) { r.sent.Add(int64(n)) },
		Log: slog.New(slog.DiscardHandler), Times: times})
	app.Get("/events", middleware.Recover(), middleware.Authenticate(r.verifier), middleware.Deadline(time.Second), handlers.Follow)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = listener.Addr().String()
	var served sync.WaitGroup
	served.Go(func() { assert.NoError(t, app.Listener(middleware.Listen(listener))) })
	t.Cleanup(func() {
		r.hub.Close()
		assert.NoError(t, app.ShutdownWithTimeout(10*time.Second))
		served.Wait()
	})
	return r
}

// follow opens a stream and returns its connection behind the first frame.
func (r *rig) follow(t *testing.T, headers ...string) (net.Conn, *bufio.Reader, http.Header) {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	return conn, bufio.NewReader(response.Body), response.Header
}

func (r *rig) happen(t *testing.T, metadata string) {
	t.Helper()
	r.position++
	require.NoError(t, r.hub.HandleEvent(t.Context(), eventbus.PositionedEvent{Position: r.position, Event: account.PaymentEvent{
		EventID: "e", TransactionID: "t", UserID: ada.String(), Status: account.PaymentStatusPending, Metadata: map[string]string{"m": metadata},
	}}))
}

func (r *rig) endedFor(t *testing.T) string {
	t.Helper()
	select {
	case reason := <-r.ended:
		return reason
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the stream did not end")
		return ""
	}
}

func TestFramesAndHeaders(t *testing.T) {
	r := newRig(t, emptyLog{}, events.Times{KeepAlive: 100 * time.Millisecond}, 0)
	conn, body, header := r.follow(t)
	assert.Equal(t, "text/event-stream", header.Get("Content-Type"))
	assert.Equal(t, "no-store", header.Get("Cache-Control"))
	assert.Equal(t, "no", header.Get("X-Accel-Buffering"))
	lines := readLines(t, body, 3)
	assert.Equal(t, []string{"retry: 1100", "id: 7", ""}, lines)
	r.happen(t, "two\nlines")
	var got []string
	for len(got) == 0 || got[0] != "id: 8" {
		got = readLines(t, body, 1)
	}
	got = readLines(t, body, 3)
	assert.Equal(t, "event: florin.payment.pending", got[0])
	require.True(t, strings.HasPrefix(got[1], "data: {"), got[1])
	assert.Empty(t, got[2])
	assert.Equal(t, []string{"id: 8", ""}, readLines(t, body, 2), "an id without data: nothing of his up to there is missing")
	assert.Equal(t, int64(1), r.sent.Load())
	require.NoError(t, conn.Close())
	assert.Equal(t, stream.EndedByClient, r.endedFor(t))
}

func TestStreamEndsWhereItsCredentialDoes(t *testing.T) {
	for name, end := range map[string]error{
		"logged out":         errs.New(errs.Unauthenticated, "invalid_token", ""),
		"nobody can say now": errors.New("the database is away"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, emptyLog{}, events.Times{Recheck: 10 * time.Millisecond}, 0)
			_, body, _ := r.follow(t)
			r.verifier.err.Store(&end)
			assert.Equal(t, stream.EndedCredential, r.endedFor(t))
			rest, err := io.ReadAll(body)
			require.NoError(t, err, "the answer ends as it should")
			assert.True(t, strings.HasSuffix(string(rest), ": ended, credential\n\n"), "%s", rest)
		})
	}
}

// TestClientThatReadsNothing fills the client's socket, the pipe and the buffer, and is ended; the end does not wait for it.
func TestClientThatReadsNothing(t *testing.T) {
	r := newRig(t, emptyLog{}, events.Times{Write: time.Minute}, 4)
	conn, _, _ := r.follow(t)
	large := strings.Repeat("x", 64<<10)
	began := time.Now()
	for ended := false; !ended; {
		require.Less(t, time.Since(began), 20*time.Second)
		r.happen(t, large)
		select {
		case reason := <-r.ended:
			assert.Equal(t, stream.EndedSlow, reason)
			ended = true
		case <-time.After(time.Millisecond):
		}
	}
	assert.Less(t, r.position, int64(5000), "what a client does not read is bounded")
	require.NoError(t, conn.Close())
}

// TestClientThatStopsReadingIsLeft ends a stream whose buffer never fills because nothing more happens.
func TestClientThatStopsReadingIsLeft(t *testing.T) {
	r := newRig(t, emptyLog{}, events.Times{Write: 50 * time.Millisecond, KeepAlive: 10 * time.Millisecond}, 0)
	r.follow(t)
	for range 200 {
		r.happen(t, strings.Repeat("x", 64<<10))
	}
	assert.Equal(t, stream.EndedByClient, r.endedFor(t))
}

func TestPanicAndFailureEndOneStreamOnly(t *testing.T) {
	r := newRig(t, emptyLog{err: errors.New("the disk is gone")}, events.Times{Recheck: 10 * time.Millisecond}, 0)
	r.follow(t, "Last-Event-ID: 3")
	assert.Equal(t, stream.EndedFailed, r.endedFor(t))
	r.follow(t, "Last-Event-ID: 7")
	r.verifier.panic.Store(true)
	assert.Equal(t, stream.EndedCredential, r.endedFor(t))
	r.verifier.panic.Store(false)
	_, body, _ := r.follow(t)
	assert.Len(t, readLines(t, body, 3), 3, "the process lives on")

	r = newRig(t, emptyLog{panics: true}, events.Times{}, 0)
	r.follow(t, "Last-Event-ID: 3")
	assert.Equal(t, stream.EndedFailed, r.endedFor(t))
}

// TestCredentialIsLookedAtWhileTheStreamCatchesUp has a log that takes its time.
func TestCredentialIsLookedAtWhileTheStreamCatchesUp(t *testing.T) {
	r := newRig(t, emptyLog{hangs: true}, events.Times{Recheck: 10 * time.Millisecond}, 0)
	r.follow(t, "Last-Event-ID: 3")
	gone := error(errs.New(errs.Unauthenticated, "invalid_token", ""))
	r.verifier.err.Store(&gone)
	began := time.Now()
	assert.Equal(t, stream.EndedCredential, r.endedFor(t))
	assert.Less(t, time.Since(began), 4*time.Second)
}

func readLines(t *testing.T, from *bufio.Reader, n int) (lines []string) {
	t.Helper()
	for range n {
		line, err := from.ReadString('\n')
		require.NoError(t, err)
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}
