package middleware

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestS77_FramingThatHTTPDoesNotAllowIsRefused(t *testing.T) {
	app := fiber.New(Settings(fiber.DefaultErrorHandler))
	Harden(app, nil)
	app.All("/", func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusOK) })
	l := loopback(t)
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(Listen(l)) }()
	chunked := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	x32 := strings.Repeat("x", 32)
	for _, c := range []struct {
		name, request string
		refused       bool
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
		{"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", false},
		{"chunked", chunked + "20\r\n" + x32 + "\r\n0\r\n\r\n", false},
		{"no Host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", true},
		{"version", "GET / HTTP/9.9\r\nHost: a\r\nConnection: close\r\n\r\n", true},
		{"chunked 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"size 2_0", chunked + "2_0\r\n" + x32 + "\r\n0\r\n\r\n", true},
		{"size +20", chunked + "+20\r\n" + x32 + "\r\n0\r\n\r\n", true},
		{"size 0x20", chunked + "0x20\r\n" + x32 + "\r\n0\r\n\r\n", true},
	} {
		conn := dial(t, l)
		_, err := fmt.Fprint(conn, c.request)
		if !c.refused {
			require.NoError(t, err, c.name)
		}
		answer, _ := io.ReadAll(conn) // a refusal may reset the connection
		assert.Equal(t, !c.refused, strings.Contains(string(answer), " 200 OK"), "%s: %.80q", c.name, answer)
	}
	require.NoError(t, app.Shutdown())
	require.NoError(t, <-ended)
}
