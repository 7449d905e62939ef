package problem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

// render serves one error and returns the answer, its document and what was logged.
func render(t *testing.T, cause error) (*http.Response, map[string]any, string) {
	t.Helper()
	var logged bytes.Buffer
	app := fiber.New(fiber.Config{ErrorHandler: Handler(slog.New(slog.NewJSONHandler(&logged, nil)))})
	app.Get("/fails", func(*fiber.Ctx) error { return cause })
	response, err := app.Test(httptest.NewRequest("GET", "/fails?token=secret", nil))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.Unmarshal(body, &document))
	require.Equal(t, ContentType, response.Header.Get("Content-Type"))
	require.Equal(t, []string{"code", "detail", "errors", "instance", "request_id", "status", "title", "type"},
		slices.Sorted(maps.Keys(document)), "exactly the members of the contract")
	require.EqualValues(t, response.StatusCode, document["status"])
	require.Equal(t, "/fails", document["instance"])
	require.Equal(t, response.Header.Get(RequestIDHeader), document["request_id"])
	require.NotEmpty(t, document["request_id"])
	return response, document, logged.String()
}

func TestKindsBecomeStatuses(t *testing.T) {
	for _, c := range []struct {
		kind       errs.Kind
		after      time.Duration
		status     int
		retryAfter string
	}{
		{errs.Malformed, 0, 400, ""}, {errs.Unauthenticated, 0, 401, ""}, {errs.Forbidden, 0, 403, ""}, {errs.NotFound, 0, 404, ""},
		{errs.Conflict, 0, 409, ""}, {errs.Conflict, 1500 * time.Millisecond, 409, "2"}, {errs.TooLarge, 0, 413, ""},
		{errs.Unsupported, 0, 415, ""}, {errs.Refused, 0, 422, ""}, {errs.Limited, 0, 429, "1"}, {errs.Limited, time.Minute, 429, "60"},
		{errs.Unavailable, 0, 503, "1"}, {errs.Unavailable, 100 * time.Millisecond, 503, "1"}, {errs.Timeout, 0, 503, "1"},
	} {
		response, document, logged := render(t, fmt.Errorf("do it: %w", &errs.Error{Kind: c.kind, Code: "some_code", Message: "for people",
			RetryAfter: c.after, Cause: errors.New("SELECT secret"), Fields: []errs.Field{{Name: "amount", Code: "bad", Message: "is bad"}}}))
		require.Equal(t, c.status, response.StatusCode)
		require.Equal(t, c.retryAfter, response.Header.Get("Retry-After"))
		require.Equal(t, c.status == 401, response.Header.Get("WWW-Authenticate") != "")
		require.Equal(t, "some_code", document["code"])
		require.Equal(t, TypeBase+"some_code", document["type"])
		require.Equal(t, "for people", document["detail"])
		require.Equal(t, []any{map[string]any{"field": "amount", "code": "bad", "message": "is bad"}}, document["errors"])
		require.Empty(t, logged, "what the caller can mend is not logged")
	}
}

func TestS41_InternalErrorsAreHiddenAndLoggedOnce(t *testing.T) {
	for _, cause := range []error{errors.New("pq: SELECT secret FROM /var/lib"), errs.Wrap(errors.New("SELECT secret"), errs.Internal, "db", "table users"),
		Panicked("SELECT secret"), fiber.NewError(500, "SELECT secret"), fiber.NewError(599, "SELECT secret")} {
		response, document, logged := render(t, cause)
		require.Equal(t, 500, response.StatusCode)
		require.Equal(t, "internal", document["code"])
		require.Equal(t, []any{}, document["errors"])
		require.NotContains(t, fmt.Sprint(document), "secret")
		require.NotContains(t, fmt.Sprint(document), "users")
		require.Equal(t, 1, strings.Count(logged, "\n"))
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(logged), &record))
		require.Equal(t, "ERROR", record["level"])
		require.Equal(t, document["request_id"], record["request_id"])
		require.Contains(t, record["error"], "SELECT secret")
		require.NotContains(t, logged, "token=secret")
	}
}

func TestFibersOwnErrors(t *testing.T) {
	for status, code := range map[int]string{400: "malformed_request", 404: "route_not_found", 405: "method_not_allowed", 408: "request_timeout",
		413: "body_too_large", 414: "uri_too_long", 431: "headers_too_large", 418: "im_a_teapot"} {
		response, document, logged := render(t, fiber.NewError(status, "Cannot GET <script>"))
		require.Equal(t, status, response.StatusCode)
		require.Equal(t, code, document["code"])
		require.NotContains(t, document["detail"], "script")
		require.Empty(t, logged)
	}
	response, document, _ := render(t, fmt.Errorf("ask: %w", context.DeadlineExceeded))
	require.Equal(t, 503, response.StatusCode)
	require.Equal(t, "timeout", document["code"])
}
