package stripe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"florin/pkg/telemetry"
)

const (
	callTimeout = 30 * time.Second // of a whole call, where the context and the HTTP client set none
	maxAnswer   = 4 << 20          // a page of a hundred events is some hundred KiB
)

// newHTTPClient goes straight to Stripe: proxy variables of the environment are ignored.
func newHTTPClient(given *http.Client) http.Client {
	var made http.Client
	if given != nil {
		made = *given
	}
	if made.Transport == nil {
		made.Transport = &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: callTimeout,
			MaxConnsPerHost:       64,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       60 * time.Second,
			ForceAttemptHTTP2:     true,
		}
	}
	if made.Timeout == 0 {
		made.Timeout = callTimeout
	}
	made.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	made.Transport = telemetry.Outgoing(bounded{made.Transport}, telemetry.Peer{})
	return made
}

// bounded refuses redirects, bounds answers, and notes of each what stripe-go does not pass on.
type bounded struct{ next http.RoundTripper }

var errRedirect = errors.New("the answer is a redirect")

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	// Without GetBody the transport does not repeat a POST by itself.
	r = r.Clone(r.Context())
	r.GetBody = nil
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		_ = response.Body.Close()
		return nil, errRedirect
	}
	if note, ok := r.Context().Value(noteKey{}).(*note); ok {
		note.status = response.StatusCode
		note.replayed = response.Header.Get("Idempotent-Replayed") == "true"
		note.retryAfter = response.Header.Get("Retry-After")
		note.requestID = plainText(response.Header.Get("Request-Id"))
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	return response, nil
}

// CloseIdleConnections reaches the transport below.
func (b bounded) CloseIdleConnections() {
	if closer, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// note is what the transport saw of one call: status 0 where no answer came.
type note struct {
	status     int
	replayed   bool // Stripe gave its first answer under the key again
	retryAfter string
	requestID  string
}

type noteKey struct{}

func noting(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}

// maxRetryAfter bounds what a provider may make us wait.
const maxRetryAfter = time.Hour

// wait reads Retry-After in both of its forms, 0 where it is absent or makes no sense.
func (n *note) wait(now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(n.retryAfter, 10, 31); err == nil {
		return min(maxRetryAfter, time.Duration(seconds)*time.Second)
	}
	at, err := http.ParseTime(n.retryAfter)
	if err != nil {
		return 0
	}
	return min(maxRetryAfter, max(0, at.Sub(now)))
}
