package health

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, path string, checks ...Check) (int, string, []string) {
	t.Helper()
	var reported []string
	h := New(func(name string, _ error) { reported = append(reported, name) }, checks...)
	app := fiber.New()
	app.Get("/healthz", h.Live)
	app.Get("/readyz", h.Ready)
	response, err := app.Test(httptest.NewRequest("GET", path, nil))
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(raw), reported
}

func TestReadyNamesWhatIsNot(t *testing.T) {
	well := func(context.Context) error { return nil }
	ill := func(context.Context) error { return errors.New("dial tcp 10.0.0.1: secret") }
	status, body, reported := ask(t, "/readyz", Check{Name: "database", Run: well}, Check{Name: "nats", Run: ill, Note: true})
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"ok","checks":[{"name":"database","status":"ok"},{"name":"nats","status":"note"}]}`, body)
	require.Equal(t, []string{"nats"}, reported)
	status, body, _ = ask(t, "/readyz", Check{Name: "database", Run: ill}, Check{Name: "nats", Run: well, Note: true})
	require.Equal(t, 503, status)
	require.JSONEq(t, `{"status":"unready","checks":[{"name":"database","status":"failed"},{"name":"nats","status":"ok"}]}`, body)
	status, body, _ = ask(t, "/healthz", Check{Name: "database", Run: ill})
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"ok"}`, body)
}
