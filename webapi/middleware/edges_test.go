package middleware

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// TestF157_RefusalsOutsideTheRoutesAreReadableInBrowsers: a page of a listed origin sees why, and another page does not.
func TestF157_RefusalsOutsideTheRoutesAreReadableInBrowsers(t *testing.T) {
	origins, err := ParseOrigins("https://app.example.com")
	require.NoError(t, err)
	s := startFor(t, origins, nil, CORS(origins))
	for _, c := range []struct {
		method, path string
		body         []byte
		header       map[string]string
		status       int
	}{
		{"POST", "/echo", bytes.Repeat([]byte(" "), BodyLimit+1), nil, 413},
		{"GET", "/echo?" + strings.Repeat("x", 9<<10), nil, nil, 414},
		{"GET", "/echo", nil, map[string]string{"X-Long": strings.Repeat("x", 17<<10)}, 431},
		{"TRACE", "/echo", nil, nil, 405},
	} {
		for origin, allowed := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
			header := map[string]string{"Origin": origin, "Content-Type": "application/json"}
			for name, value := range c.header {
				header[name] = value
			}
			a := s.do(t, c.method, c.path, bytes.NewReader(c.body), header)
			require.Equal(t, c.status, a.StatusCode, c.path)
			require.Equal(t, []string{"Origin"}, a.Header.Values("Vary"), c.status)
			if c.status != http.StatusRequestHeaderFieldsTooLarge { // its origin was not read
				require.Equal(t, allowed, a.Header.Get("Access-Control-Allow-Origin"), c.status)
			}
		}
	}
}

// TestF157_TargetsInAbsoluteForm have the limits of their paths.
func TestF157_TargetsInAbsoluteForm(t *testing.T) {
	for target, want := range map[string]int{
		"/webhook/payment": WebhookBodyLimit, "http://florin.example/webhook/payment": WebhookBodyLimit,
		"HTTPS://florin.example:443/webhook/stripe?x=1": WebhookBodyLimit, "/user": BodyLimit, "http://florin.example": BodyLimit,
		"/user?next=http://x/webhook/payment": BodyLimit, "http://x/user?y=/webhook/": BodyLimit,
	} {
		var header fasthttp.RequestHeader
		header.SetRequestURI(target)
		require.Equal(t, want, limitsOf(&header).MaxRequestBodySize, target)
	}
}
