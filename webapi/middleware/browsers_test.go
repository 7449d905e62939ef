package middleware

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"florin/webapi/problem"
)

func TestS63_TheAdminListenerAnswersNoPageOfOthers(t *testing.T) {
	app := fiber.New(Settings(problem.Handler(slog.New(slog.DiscardHandler))))
	app.Use(NoBrowsers([]string{"admin.internal"}))
	app.Get("/", func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusOK) })
	for _, c := range []struct {
		host, header, value string
		status              int
	}{
		{"127.0.0.1:8081", "", "", 200},
		{"[::1]:8081", "", "", 200},
		{"localhost:8081", "", "", 200},
		{"Admin.internal", "", "", 200},
		{"localhost:8081", "Origin", "http://localhost:8081", 200},
		{"localhost:8081", "Sec-Fetch-Site", "same-origin", 200},
		{"localhost:8081", "Sec-Fetch-Site", "none", 200},
		{"evil.example", "", "", 403},
		{"127.0.0.1.evil.example:8081", "", "", 403},
		{"localhost:8081", "Origin", "http://localhost:9000", 403},
		{"localhost:8081", "Origin", "null", 403},
		{"localhost:8081", "Sec-Fetch-Site", "cross-site", 403},
		{"localhost:8081", "Sec-Fetch-Site", "same-site", 403},
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.Host = c.host
		if c.header != "" {
			request.Header.Set(c.header, c.value)
		}
		answer, err := app.Test(request, -1)
		require.NoError(t, err)
		require.Equal(t, c.status, answer.StatusCode, "%+v", c)
		require.NoError(t, answer.Body.Close())
	}
}
