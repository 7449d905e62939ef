package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

func TestS22_BodyLimits(t *testing.T) {
	s := start(t, nil)
	require.Equal(t, 200, s.do(t, "POST", "/echo", strings.NewReader(jsonBody(BodyLimit)), jsonType).StatusCode)
	require.Equal(t, 200, s.do(t, "POST", "/webhook/payment", strings.NewReader(jsonBody(WebhookBodyLimit)), jsonType).StatusCode)
	for path, size := range map[string]int{"/echo": BodyLimit + 1, "/webhook/payment": WebhookBodyLimit + 1, "/nowhere": BodyLimit + 1} {
		a := s.do(t, "POST", path, strings.NewReader(jsonBody(size)), jsonType)
		require.Equal(t, 413, a.StatusCode, path)
		require.Equal(t, "body_too_large", a.code)
		chunked := s.do(t, "POST", path, io.MultiReader(strings.NewReader(jsonBody(size))), jsonType)
		require.Equal(t, 413, chunked.StatusCode, path)
	}
	a := s.do(t, "GET", "/echo", nil, map[string]string{"X-Large": strings.Repeat("x", 20<<10)})
	require.Equal(t, 431, a.StatusCode)
	require.Equal(t, "headers_too_large", a.code)
	require.Equal(t, 414, s.do(t, "GET", "/echo?"+strings.Repeat("x", 9<<10), nil, nil).StatusCode)
}

// zeros is a body of 50 MB that is nowhere in memory.
func zeros() io.Reader { return io.LimitReader(endless{}, 50<<20) }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestF56_LargeBodiesTakeNoMemory(t *testing.T) {
	s := start(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 5 {
		require.Equal(t, 413, s.do(t, "POST", "/echo", zeros(), jsonType).StatusCode, "the client can read the answer")
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
	a := s.do(t, "POST", "/echo", strings.NewReader("\x1f\x8b"), map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"})
	require.Equal(t, 415, a.StatusCode)
}

func TestF57_SlowBodiesEnd(t *testing.T) {
	s := start(t, func(c *fiber.Config) { c.ReadTimeout = 100 * time.Millisecond })
	for range 20 {
		conn, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
	}
	require.Equal(t, 200, s.do(t, "GET", "/echo", nil, nil).StatusCode, "others are served meanwhile")
	a := s.raw(t, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", true)
	require.Equal(t, 408, a.StatusCode)
}

func TestS28_EncodedBodiesAreRefused(t *testing.T) {
	s := start(t, nil)
	for encoding, status := range map[string]int{"gzip": 415, "deflate": 415, "br": 415, "x": 415, "identity, gzip": 415, "identity": 200} {
		a := s.do(t, "POST", "/echo", strings.NewReader(`{}`), map[string]string{"Content-Type": "application/json", "Content-Encoding": encoding})
		require.Equal(t, status, a.StatusCode, encoding)
	}
}

func TestS42_MethodsAndMediaTypes(t *testing.T) {
	s := start(t, nil)
	for media, status := range map[string]int{"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON;charset=UTF-8": 200, "": 415,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "application/json; charset=latin1": 415, "application/json-patch+json": 415} {
		a := s.do(t, "POST", "/echo", strings.NewReader(`{}`), map[string]string{"Content-Type": media})
		require.Equal(t, status, a.StatusCode, media)
	}
	require.Equal(t, 200, s.do(t, "POST", "/echo", nil, nil).StatusCode, "without a body there is no type")
	for _, method := range []string{"DELETE", "PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "FOO"} {
		a := s.raw(t, method+" /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true)
		require.Equal(t, 405, a.StatusCode, method)
		require.Contains(t, a.Header.Get("Allow"), "GET", method)
		require.Equal(t, "method_not_allowed", a.code)
	}
	a := s.do(t, "POST", "/mine", nil, map[string]string{"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET", "Authorization": "Bearer good"})
	require.Equal(t, 405, a.StatusCode, "the method is what the request line says")
	require.Equal(t, "route_not_found", s.do(t, "GET", "/nowhere", nil, nil).code)
}

func TestS43_AmbiguousRequests(t *testing.T) {
	s := start(t, nil)
	head := "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	smuggled := "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
	for why, text := range map[string]string{
		"CL and TE":          head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled,
		"TE and CL":          head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled,
		"TE identity and CL": head + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}" + smuggled,
		"two CL":             head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} " + smuggled,
		"two equal CL":       head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + smuggled,
		"two TE":             head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled,
		"unknown TE":         head + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled,
		"negative CL":        head + "Content-Length: -2\r\n\r\n{}" + smuggled,
		"signed CL":          head + "Content-Length: +2\r\n\r\n{}" + smuggled,
		"space before colon": head + "Content-Length : 2\r\n\r\n{}" + smuggled,
		"bare LF":            "GET /echo HTTP/1.1\nHost: x\n\n" + smuggled,
		"one bare LF":        "GET /echo HTTP/1.1\r\nX: y\nHost: x\r\n\r\n" + smuggled,
		"bare CR in a value": "GET /echo HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" + smuggled,
		"two hosts":          "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + smuggled,
		"folded header":      "GET /echo HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" + smuggled,
	} {
		t.Run(why, func(t *testing.T) {
			a := s.raw(t, text, true)
			require.Equal(t, 400, a.StatusCode)
			require.Equal(t, "malformed_request", a.code)
		})
	}
}

func TestS41_PanicsAreAnsweredAndSurvived(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/panic", "/fail"} {
		a := s.do(t, "GET", path, nil, map[string]string{"X-Request-Id": "mine-1"})
		require.Equal(t, 500, a.StatusCode)
		require.Equal(t, "internal", a.code)
		require.Equal(t, "mine-1", a.Header.Get("X-Request-Id"))
		require.NotContains(t, a.body, "secret")
		require.NotContains(t, a.body, ".go")
	}
	require.Equal(t, 200, s.do(t, "GET", "/echo", nil, nil).StatusCode)
	require.Equal(t, 2, strings.Count(s.log.String(), `"level":"ERROR"`))
	require.Contains(t, s.log.String(), "server_test.go", "the log has the stack")
}

func TestS37_SecurityHeaders(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/echo", "/nowhere", "/panic"} {
		header := s.do(t, "GET", path, nil, nil).Header
		require.Contains(t, header.Get("Strict-Transport-Security"), "max-age=")
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Empty(t, header.Get("Server"))
		require.Empty(t, header.Get("X-Powered-By"))
	}
}

func TestS38_CORS(t *testing.T) {
	origins, err := ParseOrigins("https://app.example.com, http://localhost:5173")
	require.NoError(t, err)
	for _, bad := range []string{"*", "null", "https://*.example.com", "https://app.example.com/", "app.example.com", "ftp://x"} {
		_, err := ParseOrigins(bad)
		require.Error(t, err, bad)
	}
	s := start(t, nil, CORS(origins))
	allowed := s.do(t, "GET", "/echo", nil, map[string]string{"Origin": "https://app.example.com"})
	require.Equal(t, "https://app.example.com", allowed.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", allowed.Header.Get("Vary"))
	require.Empty(t, allowed.Header.Get("Access-Control-Allow-Credentials"))
	preflight := map[string]string{"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
	a := s.do(t, "OPTIONS", "/echo", nil, preflight)
	require.Equal(t, 204, a.StatusCode)
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	for _, origin := range []string{"null", "https://evil.example", "https://app.example.com.evil.example", "https://app.example.com:8443", "*"} {
		a := s.do(t, "GET", "/echo", nil, map[string]string{"Origin": origin})
		require.Equal(t, 200, a.StatusCode)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), origin)
		preflight["Origin"] = origin
		a = s.do(t, "OPTIONS", "/echo", nil, preflight)
		require.Equal(t, 403, a.StatusCode, origin)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"))
	}
}

func TestS25_ForwardedAddresses(t *testing.T) {
	proxies, err := ParseProxies("10.0.0.0/8, 192.0.2.1, 2001:db8::/32")
	require.NoError(t, err)
	for _, bad := range []string{"proxy", "10.0.0.0/99", "*"} {
		_, err := ParseProxies(bad)
		require.Error(t, err)
	}
	for _, c := range []struct {
		peer, forwarded, want string
	}{
		{"203.0.113.9", "198.51.100.1", "203.0.113.9"},
		{"10.1.1.1", "", "10.1.1.1"},
		{"10.1.1.1", "198.51.100.1", "198.51.100.1"},
		{"10.1.1.1", "1.1.1.1,198.51.100.1", "198.51.100.1"},
		{"10.1.1.1", "1.1.1.1,198.51.100.1,192.0.2.1", "198.51.100.1"},
		{"10.1.1.1", "1.1.1.1,garbage,192.0.2.1", "192.0.2.1"},
		{"10.1.1.1", "198.51.100.1:5000", "198.51.100.1"},
		{"10.1.1.1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"2001:db8::1", "2001:dead::1", "2001:dead::1"},
		{"10.1.1.1", strings.TrimSuffix(strings.Repeat("10.0.0.1,", 100), ","), "10.0.0.1"},
	} {
		var forwarded []string
		if c.forwarded != "" {
			forwarded = strings.Split(c.forwarded, ",")
		}
		require.Equal(t, c.want, proxies.client(netip.MustParseAddr(c.peer), forwarded).String(), c.forwarded)
	}
}

func TestS25_LimitsCountCallers(t *testing.T) {
	limiter, err := NewLimiter("2/m", time.Now)
	require.NoError(t, err)
	proxies, err := ParseProxies("192.0.2.0/24")
	require.NoError(t, err)
	s := start(t, nil, Client(proxies, false), Identify(verifier{}), limiter.PerCaller())
	limited := func(header map[string]string) bool {
		a := s.do(t, "GET", "/echo", nil, header)
		if a.StatusCode == 429 {
			require.Equal(t, "rate_limited", a.code)
			require.NotEmpty(t, a.Header.Get("Retry-After"))
		}
		return a.StatusCode == 429
	}
	require.False(t, limited(nil))
	require.False(t, limited(map[string]string{"X-Forwarded-For": "1.1.1.1"}))
	require.True(t, limited(map[string]string{"X-Forwarded-For": "2.2.2.2"}), "a claimed address does not help")
	require.True(t, limited(map[string]string{"Authorization": "Bearer bad"}), "a bad token is nobody")
	require.False(t, limited(map[string]string{"Authorization": "Bearer good"}), "a user has a bucket of its own")
}

func TestRateLimits(t *testing.T) {
	for _, bad := range []string{"", "600", "x/m", "0/m", "-1/m", "600/d", "OFF"} {
		_, err := NewLimiter(bad, time.Now)
		require.Error(t, err, bad)
	}
	off, err := NewLimiter("off", time.Now)
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limiter, err := NewLimiter("60/m", func() time.Time { return at })
	require.NoError(t, err)
	for range 60 {
		require.NoError(t, limiter.admit("a"))
		require.NoError(t, off.admit("a"))
	}
	require.Equal(t, errs.Limited, errs.KindOf(limiter.admit("a")))
	at = at.Add(time.Second)
	require.NoError(t, limiter.admit("a"))
	require.Error(t, limiter.admit("a"))
	for i := range 5 * maxBuckets {
		require.NoError(t, limiter.admit(fmt.Sprint(i)))
	}
	require.LessOrEqual(t, len(limiter.current)+len(limiter.previous), 2*maxBuckets)
}

func TestHTTPSIsRequired(t *testing.T) {
	proxies, err := ParseProxies("127.0.0.1")
	require.NoError(t, err)
	s := start(t, nil, Client(proxies, true))
	require.Equal(t, "https_required", s.do(t, "GET", "/echo", nil, nil).code)
	require.Equal(t, "https_required", s.do(t, "GET", "/echo", nil, map[string]string{"X-Forwarded-Proto": "https, http"}).code)
	require.Equal(t, 200, s.do(t, "GET", "/echo", nil, map[string]string{"X-Forwarded-Proto": "https"}).StatusCode)
	require.Equal(t, 200, s.do(t, "GET", "/healthz", nil, nil).StatusCode)
	untrusting := start(t, nil, Client(nil, true))
	require.Equal(t, "https_required", untrusting.do(t, "GET", "/echo", nil, map[string]string{"X-Forwarded-Proto": "https"}).code)
}

func TestAuthentication(t *testing.T) {
	s := start(t, nil)
	require.Len(t, s.do(t, "GET", "/mine", nil, map[string]string{"Authorization": "bearer good"}).body, 36)
	require.Equal(t, 403, s.do(t, "GET", "/admin", nil, map[string]string{"Authorization": "Bearer good"}).StatusCode)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer bad", "Basic good", "good", "Bearer good good", "Bearer  good"} {
		a := s.do(t, "GET", "/mine", nil, map[string]string{"Authorization": header})
		require.Equal(t, 401, a.StatusCode, header)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), "Bearer")
	}
	a := s.raw(t, "GET /mine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nAuthorization: Bearer good\r\nConnection: close\r\n\r\n", true)
	require.Equal(t, 401, a.StatusCode)
}

func TestRequestIDs(t *testing.T) {
	s := start(t, nil)
	for sent, kept := range map[string]bool{"a": true, "A-1_2.3": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "é": false, "": false, "a;b": false} {
		got := s.do(t, "GET", "/echo", nil, map[string]string{"X-Request-Id": sent}).Header.Get("X-Request-Id")
		require.Equal(t, kept, got == sent && sent != "", sent)
		require.NotEmpty(t, got)
	}
}

func TestS46_TheAccessLogKeepsNoSecrets(t *testing.T) {
	s := start(t, nil)
	s.do(t, "POST", "/echo?token=canary1", strings.NewReader(`"canary2"`), map[string]string{"Content-Type": "application/json", "Authorization": "Bearer canary3"})
	s.do(t, "GET", "/canary4", nil, map[string]string{"Cookie": "canary5", "X-Request-Id": "canary6\tx"})
	require.NotContains(t, s.log.String(), "canary")
	var record map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.SplitN(s.log.String(), "\n", 2)[0]), &record))
	require.Equal(t, "/echo", record["route"])
	require.EqualValues(t, 200, record["status"])
	require.Equal(t, "127.0.0.1", record["client"])
}

func TestS27_TooManyAtOnce(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	hold := func(c *fiber.Ctx) error {
		if c.Path() == "/echo" {
			entered <- struct{}{}
			<-leave
		}
		return c.Next()
	}
	s := start(t, nil, Concurrency(1), hold)
	var wait sync.WaitGroup
	wait.Go(func() { s.do(t, "GET", "/echo", nil, nil) })
	<-entered
	a := s.do(t, "GET", "/healthz", nil, nil)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "overloaded", a.code)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	close(leave)
	wait.Wait()
	require.Equal(t, 200, s.do(t, "GET", "/healthz", nil, nil).StatusCode)
}

func TestDeadline(t *testing.T) {
	var left time.Duration
	look := func(c *fiber.Ctx) error {
		at, ok := c.UserContext().Deadline()
		require.True(t, ok)
		left = time.Until(at)
		if c.Path() == "/fail" {
			ctx, cancel := context.WithTimeout(c.UserContext(), -1)
			defer cancel()
			return ctx.Err()
		}
		return c.Next()
	}
	s := start(t, nil, Deadline(10*time.Second), look)
	s.do(t, "GET", "/echo", nil, nil)
	require.InDelta(t, 10, left.Seconds(), 5)
	s.do(t, "GET", "/echo", nil, map[string]string{"Prefer": "wait=20"})
	require.InDelta(t, 30, left.Seconds(), 5)
	require.Equal(t, "timeout", s.do(t, "GET", "/fail", nil, nil).code)
}
