package middleware

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
	"florin/webapi/problem"
)

// verifier knows one token.
type verifier struct{ principal user.Principal }

func (v verifier) Verify(_ context.Context, token string) (user.Principal, error) {
	if token != "good" {
		return user.Principal{}, errs.New(errs.Unauthenticated, "invalid_token", "bad")
	}
	return v.principal, nil
}

// lockedBuffer is a log that a test reads while the server writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type server struct {
	addr string
	log  *lockedBuffer
}

// start serves the routes behind the whole chain on a real listener.
func start(t *testing.T, change func(*fiber.Config), chain ...fiber.Handler) *server {
	t.Helper()
	return startFor(t, nil, change, chain...)
}

// startFor is start for browsers of the origins.
func startFor(t *testing.T, origins Origins, change func(*fiber.Config), chain ...fiber.Handler) *server {
	t.Helper()
	s := &server{log: &lockedBuffer{}}
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	settings := Settings(problem.Handler(log))
	if change != nil {
		change(&settings)
	}
	app := fiber.New(settings)
	Harden(app, origins)
	app.Use(RequestID(), Log(log, time.Now), Recover())
	for _, handler := range chain {
		app.Use(handler)
	}
	caller := user.Principal{UserID: uuid.New(), Role: user.RoleUser}
	echo := func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"bytes": len(c.Body()), "client": Address(c).String()})
	}
	app.Get("/echo", echo)
	app.Post("/echo", Body(BodyLimit), echo)
	app.Post("/webhook/payment", Body(WebhookBodyLimit), echo)
	app.Get("/panic", func(*fiber.Ctx) error { panic("SELECT secret FROM /var/lib") })
	app.Get("/fail", func(*fiber.Ctx) error { return errors.New("SELECT secret") })
	app.Get("/healthz", echo)
	app.Get("/mine", Authenticate(verifier{caller}), func(c *fiber.Ctx) error { return c.SendString(Caller(c).UserID.String()) })
	app.Get("/admin", Authenticate(verifier{caller}), RequireAdmin(), echo)

	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = inner.Addr().String()
	done := make(chan error, 1)
	go func() { done <- app.Listener(Listen(inner)) }()
	t.Cleanup(func() {
		require.NoError(t, app.ShutdownWithTimeout(5*time.Second))
		require.NoError(t, <-done)
	})
	return s
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
	code string
}

func (s *server) do(t *testing.T, method, path string, body io.Reader, header map[string]string) answer {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+s.addr+path, body)
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	return read(t, response)
}

func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answer{Response: response, body: string(raw)}
	if response.StatusCode >= 400 && response.Request.Method != http.MethodHead {
		require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"), a.body)
		var document problem.Problem
		require.NoError(t, json.Unmarshal(raw, &document), a.body)
		require.Equal(t, response.StatusCode, document.Status)
		require.NotEmpty(t, document.RequestID)
		require.Equal(t, response.Header.Get("X-Request-Id"), document.RequestID)
		a.code = document.Code
	}
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"), "every answer is hardened")
	return a
}

// raw sends bytes as they are and reads one answer; the connection must then be closed when closed is asked for.
func (s *server) raw(t *testing.T, text string, closed bool) answer {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodGet})
	require.NoError(t, err)
	a := read(t, response)
	if closed {
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Empty(t, string(rest), "nothing more is answered on the connection")
	}
	return a
}

var jsonType = map[string]string{"Content-Type": "application/json"}

func jsonBody(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
