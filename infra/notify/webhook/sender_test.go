package webhook_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/notification"
	"florin/infra/notify/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func sender(t *testing.T, cfg webhook.Config) *webhook.Sender {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	s := webhook.NewSender(cfg)
	t.Cleanup(s.Close)
	return s
}

func secretOf(t *testing.T, encoded string) notification.Secret {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	s, err := notification.NewSecret(key)
	require.NoError(t, err)
	return s
}

// publicSecret is that of the examples in the Standard Webhooks specification and its libraries.
const publicSecret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func message(t *testing.T, url string) notification.Message {
	return notification.Message{URL: url, ID: "event_endpoint", At: noon, Body: []byte(`{"a":1}`), Secrets: []notification.Secret{secretOf(t, publicSecret)}}
}

// receiver answers with handle and counts requests.
func receiver(t *testing.T, handle http.HandlerFunc) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// TestS35_PublicTestVectors: id, time, body and secret of the specification give the signature that it names.
func TestS35_PublicTestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ id, body, secret, want string }{
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`, publicSecret, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	} {
		var got http.Header
		var body []byte
		url, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
			got = r.Header.Clone()
			body, _ = io.ReadAll(r.Body)
		})
		m := notification.Message{URL: url, ID: v.id, At: time.Unix(1614265330, 0), Body: []byte(v.body), Secrets: []notification.Secret{secretOf(t, v.secret)}}
		sent := sender(t, webhook.Config{AllowPrivate: true}).Send(t.Context(), m)
		require.True(t, sent.Answer.Success(), sent.Failure)
		assert.Equal(t, v.id, got.Get("webhook-id"))
		assert.Equal(t, "1614265330", got.Get("webhook-timestamp"))
		assert.Equal(t, v.want, got.Get("webhook-signature"))
		assert.Equal(t, v.body, string(body))
		assert.Equal(t, v.want, sent.Header["webhook-signature"])
	}
}

func TestS35_OneSignaturePerSecret(t *testing.T) {
	t.Parallel()
	var got http.Header
	url, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	m := message(t, url)
	another := base64.StdEncoding.EncodeToString([]byte("another secret of 32 bytes size!"))
	m.Secrets = append(m.Secrets, secretOf(t, another))
	s := sender(t, webhook.Config{AllowPrivate: true})
	require.True(t, s.Send(t.Context(), m).Answer.Success())
	assert.Len(t, strings.Split(got.Get("webhook-signature"), " "), 2)
	for _, text := range []string{publicSecret, another} {
		verifier, err := standardwebhooks.NewWebhook("whsec_" + text)
		require.NoError(t, err)
		require.NoError(t, verifier.VerifyIgnoringTimestamp(m.Body, got))
		require.Error(t, verifier.VerifyIgnoringTimestamp(append(m.Body, ' '), got))
	}
	m.Secrets = nil
	assert.NotEmpty(t, s.Send(t.Context(), m).Failure, "nothing leaves unsigned")
}

// resolver answers every name with the addresses, in turn, like a server of names whose owner means harm. It speaks DNS on
// loopback.
func resolver(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	var asked atomic.Int64
	go func() {
		defer close(done)
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := buffer[12:n]
			end := strings.IndexByte(string(question), 0) + 5
			isA := question[end-3] == 1
			answer := append([]byte{buffer[0], buffer[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[:end]...)
			if isA {
				address := net.ParseIP(addresses[int(asked.Add(1)-1)%len(addresses)]).To4()
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				answer = append(answer, address...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// TestS34_ANameThatLeadsInsideIsRefusedAtConnectTime: the name is harmless to look at, and its owner answers with an address of
// this machine. Whoever is not allowed to connect there does not.
func TestS34_ANameThatLeadsInsideIsRefusedAtConnectTime(t *testing.T) {
	t.Parallel()
	// Only two ports are allowed in public, so this machine's many loopback addresses keep runs apart.
	inside := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(250), rand.N(250), 1+rand.N(250))
	listener, err := net.Listen("tcp", inside+":8443")
	require.NoError(t, err)
	defer listener.Close()
	var connections atomic.Int64
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = conn.Close()
		}
	}()
	m := message(t, "https://rebound.example.com:8443/hook")
	for _, address := range []string{inside, "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "100.64.0.1"} {
		_, err := notification.ParseURL(m.URL, false)
		require.NoError(t, err, "nothing of the name tells")
		sent := sender(t, webhook.Config{Resolver: resolver(t, address)}).Send(t.Context(), m)
		assert.Nil(t, sent.Answer)
		assert.Equal(t, "the name leads to an address that is not allowed", sent.Failure, address)
	}
	require.Zero(t, connections.Load(), "nobody has connected")

	// The same name and listener where private addresses are allowed: so it was the rule that kept us away, and not the network.
	sent := sender(t, webhook.Config{AllowPrivate: true, Resolver: resolver(t, inside)}).Send(t.Context(), m)
	assert.NotContains(t, sent.Failure, "not allowed")
	require.NoError(t, listener.Close())
	<-accepted
	require.Positive(t, connections.Load())

	sent = sender(t, webhook.Config{AllowPrivate: true, Resolver: resolver(t, "169.254.169.254")}).Send(t.Context(), m)
	assert.Equal(t, "the name leads to an address that is not allowed", sent.Failure, "the addresses of clouds' secrets stay closed")
}

// TestS34_TheRulesAreLookedAtAgain: an endpoint that was stored when private addresses were allowed is not sent to when they
// are not any more.
func TestS34_TheRulesAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	url, requests := receiver(t, func(http.ResponseWriter, *http.Request) {})
	sent := sender(t, webhook.Config{}).Send(t.Context(), message(t, url))
	assert.Equal(t, notification.Sent{Failure: "the URL is not allowed"}, sent)
	assert.Zero(t, requests.Load())
}

// TestF119_RedirectsAreNotFollowed, neither to the same server nor to another.
func TestF119_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	target, followed := receiver(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		url, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target)
			w.WriteHeader(status)
		})
		sent := sender(t, webhook.Config{AllowPrivate: true}).Send(t.Context(), message(t, url))
		require.NotNil(t, sent.Answer)
		assert.False(t, sent.Answer.Success())
		assert.Equal(t, fmt.Sprintf("answered %d; redirects are not followed", status), sent.Failure)
		assert.EqualValues(t, 1, requests.Load())
	}
	assert.Zero(t, followed.Load())
}

// TestS36_TheEnvironmentNamesNoProxy: variables that other programs honour lead nowhere.
func TestS36_TheEnvironmentNamesNoProxy(t *testing.T) {
	proxy, proxied := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy)
	}
	t.Setenv("NO_PROXY", "")
	url, requests := receiver(t, func(http.ResponseWriter, *http.Request) {})
	// A name, because loopback addresses are spared by whoever does honour the variables.
	url = strings.Replace(url, "127.0.0.1", "hooks.example.com", 1)
	sent := sender(t, webhook.Config{AllowPrivate: true, Resolver: resolver(t, "127.0.0.1")}).Send(t.Context(), message(t, url))
	require.True(t, sent.Answer.Success(), sent.Failure)
	assert.EqualValues(t, 1, requests.Load())
	assert.Zero(t, proxied.Load())
}

// TestS34_OfAnAnswerLittleIsReadAndNothingKept: a body without end is left at 64 KiB, and no byte of it is in what comes back.
func TestS34_OfAnAnswerLittleIsReadAndNothingKept(t *testing.T) {
	t.Parallel()
	url, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; x="+strings.Repeat("y", 1000))
		w.WriteHeader(500)
		for {
			if _, err := io.WriteString(w, strings.Repeat("canary", 1000)); err != nil {
				return
			}
		}
	})
	sent := sender(t, webhook.Config{AllowPrivate: true}).Send(t.Context(), message(t, url))
	require.NotNil(t, sent.Answer)
	assert.EqualValues(t, 64<<10, sent.Answer.Bytes)
	assert.Len(t, sent.Answer.ContentType, 100)
	assert.NotContains(t, fmt.Sprintf("%+v %+v", sent, *sent.Answer), "canary")
}

func TestRetryAfterInSecondsAndAsADate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "120", 2 * time.Minute}, {503, "1", time.Second}, {503, noon.Add(time.Hour).Format(http.TimeFormat), time.Hour},
		{503, noon.Add(-time.Hour).Format(http.TimeFormat), 0}, {429, "", 0}, {429, "-5", 0}, {429, "soon", 0}, {429, "99999999999999", 0},
		{500, "120", 0}, {200, "120", 0},
	} {
		url, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.header)
			w.WriteHeader(c.status)
		})
		sent := sender(t, webhook.Config{AllowPrivate: true}).Send(t.Context(), message(t, url))
		assert.Equal(t, c.want, sent.Answer.RetryAfter, "%d %q", c.status, c.header)
	}
}

// TestF119_WhatGoesWrongIsSaid in words that show nothing of our network.
func TestF119_WhatGoesWrongIsSaid(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	hanging, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	broken, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	plainHTTP, _ := receiver(t, func(http.ResponseWriter, *http.Request) {})
	selfSigned := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0)
	selfSigned.StartTLS()
	defer selfSigned.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	assert.Equal(t, notification.Sent{Header: nil, Failure: "no answer in time"},
		withoutHeader(sender(t, webhook.Config{AllowPrivate: true, Within: 100 * time.Millisecond}).Send(t.Context(), message(t, hanging))))
	s := sender(t, webhook.Config{AllowPrivate: true})
	for url, want := range map[string]string{
		broken: "the connection broke", closed.URL: "the connection was refused",
		strings.Replace(plainHTTP, "http:", "https:", 1): "the connection broke", selfSigned.URL: "the certificate is not valid",
	} {
		sent := s.Send(t.Context(), message(t, url))
		assert.Nil(t, sent.Answer)
		assert.Equal(t, want, sent.Failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, "the server stopped", s.Send(ctx, message(t, plainHTTP)).Failure)

	roots := x509.NewCertPool()
	roots.AddCert(selfSigned.Certificate())
	assert.True(t, sender(t, webhook.Config{AllowPrivate: true, Roots: roots}).Send(t.Context(), message(t, selfSigned.URL)).Answer.Success())
}

func withoutHeader(s notification.Sent) notification.Sent {
	s.Header = nil
	return s
}
