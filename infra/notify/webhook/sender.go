// Package webhook sends webhooks to the endpoints of users: signed as Standard Webhooks says, to addresses that are allowed
// only, and trusting nothing that comes back.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/propagation"

	"florin/domain/account"
	"florin/domain/notification"
	"florin/pkg/telemetry"
)

// maxAnswer is how much of an answer's body is read, so that the connection can serve the next request.
const maxAnswer = 64 << 10

// maxContentType bounds what is kept of an answer's Content-Type.
const maxContentType = 100

// contentType is that of a CloudEvent as JSON, in structured mode.
const contentType = "application/cloudevents+json"

// Config is what a Sender is built from. Zero fields after Now take the defaults named.
type Config struct {
	// AllowPrivate allows http and the addresses of private networks and of this machine.
	AllowPrivate bool
	// Now is what Retry-After dates are measured by.
	Now account.Clock
	// Within is the deadline of a request with its answer; 15 s.
	Within time.Duration
	// UserAgent is "florin-webhooks".
	UserAgent string
	// Roots are the certificate authorities that are believed; nil for the system's.
	Roots *x509.CertPool
	// Resolver is the system's when nil.
	Resolver *net.Resolver
}

// Sender implements notification.WebhookSender. It uses no proxy, whatever the environment says, and follows no redirect.
type Sender struct {
	cfg    Config
	client *http.Client
}

// NewSender returns a sender. Close it when nothing is sent any more.
func NewSender(cfg Config) *Sender {
	if cfg.Within == 0 {
		cfg.Within = 15 * time.Second
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "florin-webhooks"
	}
	s := &Sender{cfg: cfg}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: cfg.Resolver, ControlContext: s.control}
	s.client = &http.Client{
		Timeout:       cfg.Within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: telemetry.Outgoing(&http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    1,
			MaxIdleConns:           100,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
			DisableCompression:     true, // what is not read need not be unpacked
		}, telemetry.Peer{Traced: true, PathIsSecret: true}),
	}
	return s
}

// Close closes the connections that are kept for the next request.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// control is asked with the very address that is about to be connected to, after the name was resolved. So a name that was
// harmless when somebody looked and is not now, leads nowhere.
func (s *Sender) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return notification.ErrAddressNotAllowed
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return notification.ErrAddressNotAllowed
	}
	return notification.CheckAddress(to.Addr(), s.cfg.AllowPrivate)
}

// Send implements notification.WebhookSender. The trace of ctx goes along.
func (s *Sender) Send(ctx context.Context, m notification.Message) notification.Sent {
	// The rules may have become stricter since the endpoint was stored.
	if _, err := notification.ParseURL(m.URL, s.cfg.AllowPrivate); err != nil {
		return notification.Sent{Failure: "the URL is not allowed"}
	}
	request, err := s.request(ctx, m)
	if err != nil {
		return notification.Sent{Failure: "the request could not be made"}
	}
	sent := notification.Sent{Header: shown(request.Header)}
	response, err := s.client.Do(request)
	if err != nil {
		sent.Failure = describe(err)
		return sent
	}
	defer func() { _ = response.Body.Close() }()
	// The status is the answer; the body is read to free the connection, and whatever becomes of that changes nothing.
	read, _ := io.CopyN(io.Discard, response.Body, maxAnswer)
	sent.Answer = &notification.Answer{Status: response.StatusCode, ContentType: bounded(response.Header.Get("Content-Type")),
		Bytes: read, RetryAfter: s.retryAfter(response)}
	if !sent.Answer.Success() {
		sent.Failure = fmt.Sprintf("answered %d", response.StatusCode)
		if response.StatusCode >= 300 && response.StatusCode <= 399 {
			sent.Failure += "; redirects are not followed"
		}
	}
	return sent
}

func (s *Sender) request(ctx context.Context, m notification.Message) (*http.Request, error) {
	signatures, err := sign(m)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("webhook request: %w", err)
	}
	request.GetBody = nil // one attempt is one request: the transport must not repeat it by itself
	telemetry.Inject(ctx, propagation.HeaderCarrier(request.Header))
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", s.cfg.UserAgent)
	request.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(m.At.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signatures)
	return request, nil
}

// sign makes one signature per secret, separated by spaces: a receiver that knows one of the secrets is content.
func sign(m notification.Message) (string, error) {
	if len(m.Secrets) == 0 {
		return "", errors.New("sign webhook: no secret")
	}
	signatures := make([]string, len(m.Secrets))
	for i, secret := range m.Secrets {
		signer, err := standardwebhooks.NewWebhookRaw(secret.Key())
		if err != nil {
			return "", fmt.Errorf("sign webhook: %w", err)
		}
		if signatures[i], err = signer.Sign(m.ID, m.At, m.Body); err != nil {
			return "", fmt.Errorf("sign webhook: %w", err)
		}
	}
	return strings.Join(signatures, " "), nil
}

func shown(header http.Header) map[string]string {
	flat := make(map[string]string, len(header))
	for name := range header {
		flat[strings.ToLower(name)] = header.Get(name)
	}
	return flat
}

// retryAfter is what a 429 or 503 asks for, in seconds or as a date; 0 for nothing, and for what makes no sense.
func (s *Sender) retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := strings.TrimSpace(response.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(s.cfg.Now()))
	}
	return 0
}

func bounded(text string) string {
	if len(text) > maxContentType {
		text = text[:maxContentType]
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text), "")
}

// describe says what went wrong in words that tell the owner enough and nothing of our network.
func describe(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, notification.ErrAddressNotAllowed):
		return "the name leads to an address that is not allowed"
	case errors.As(err, &certificate):
		return "the certificate is not valid"
	case errors.As(err, &name):
		return "the name could not be resolved"
	case errors.Is(err, context.Canceled):
		return "the server stopped"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	default:
		return "the connection broke"
	}
}
