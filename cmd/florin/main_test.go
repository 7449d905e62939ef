package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// adminPassword is given to servers of tests, so that they draw none.
const adminPassword = "correct-horse-battery-77"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A throwaway PostgreSQL lives as long as the test binary.
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"),
		// fasthttp's worker pool looks every ten seconds whether it was stopped, and its clock is the process's own.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// settings are those of a server for a test, on free ports and in a folder of its own.
func settings(t *testing.T, more map[string]string) map[string]string {
	t.Helper()
	environ := map[string]string{"DATA_DIR": t.TempDir(), "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "MOCK_AUTOCOMPLETE": "20ms",
		"RATE_LIMIT": "off", "ADMIN_PASSWORD": adminPassword}
	for name, value := range more {
		environ[name] = value
	}
	return environ
}

// buildApp builds the program and ends it with the test.
func buildApp(t *testing.T, more map[string]string, options Options) *App {
	t.Helper()
	config, err := loadConfig(settings(t, more))
	require.NoError(t, err)
	if options.Log == nil {
		options.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	app, err := NewApp(t.Context(), config, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.Stop()) })
	return app
}

func startApp(t *testing.T, more map[string]string) *App {
	t.Helper()
	app := buildApp(t, more, Options{})
	app.Start()
	return app
}

// person is a logged-in client of a server.
func person(t *testing.T, app *App, name string) *demoClient {
	t.Helper()
	c := newDemoClient(app.PublicURL())
	t.Cleanup(c.http.CloseIdleConnections)
	teller := teller{client: c, out: io.Discard}
	require.NoError(t, teller.signUp(t.Context(), name, "a-good-password-42"))
	return c
}

// openAccount opens one for the person.
func openAccount(t *testing.T, c *demoClient, currency string) accountView {
	t.Helper()
	var a accountView
	require.NoError(t, c.post(t.Context(), "/account", object{"currency": currency}, &a))
	return a
}

// until repeats a look until it says yes; the test's own deadline ends it.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// fetch answers a plain GET.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// command runs a command line in a process of its own making.
func command(t *testing.T, environ map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{environ: environ, stdout: &out, stderr: &errs}
	code = p.run(t.Context(), args)
	return code, out.String(), errs.String()
}

// decoded reads a command's --json.
func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&value), text)
	return value
}
