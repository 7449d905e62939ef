package telemetry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing says whether spans go anywhere. What costs something even without a span asks it once,
// when it is built.
func Tracing() bool {
	_, real := otel.GetTracerProvider().(*sdktrace.TracerProvider)
	return real
}

// withheld is set where OTEL_PROPAGATORS leaves the W3C trace context out.
var withheld atomic.Bool

// Inject writes the W3C trace context of ctx, tracestate included, into what leaves this program,
// unless OTEL_PROPAGATORS leaves it out. Baggage stays here: it is a stranger's, and others'
// servers have no use for it.
func Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if !withheld.Load() {
		propagation.TraceContext{}.Inject(ctx, carrier)
	}
}

// Peer says of calls that go out what their spans may show.
type Peer struct {
	// Traced sends the trace along.
	Traced bool
	// PathIsSecret keeps the path out of spans: a URL that somebody else chose may have a token in
	// it.
	PathIsSecret bool
}

// Outgoing gives each call of next a client span, by the semantic conventions for HTTP, where the
// call is part of a recorded trace. A span never has a query, a header or a body.
func Outgoing(next http.RoundTripper, peer Peer) http.RoundTripper {
	return outgoing{next: next, peer: peer}
}

type outgoing struct {
	next http.RoundTripper
	peer Peer
}

func (o outgoing) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanFromContext(r.Context()).IsRecording() {
		return o.next.RoundTrip(r)
	}
	ctx, span := otel.Tracer("florin/http").
		Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(o.describe(r)...))
	defer span.End()
	r = r.Clone(ctx) // a RoundTripper must not change what it is given
	if o.peer.Traced {
		Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	response, err := o.next.RoundTrip(r)
	if err != nil {
		kind := ErrorType(err)
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, kind) // the error's text may have the URL in it
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	if response.StatusCode >= http.StatusBadRequest {
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(response.StatusCode)))
		span.SetStatus(codes.Error, "")
	}
	return response, nil
}

// CloseIdleConnections reaches the transport below.
func (o outgoing) CloseIdleConnections() {
	if closer, ok := o.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

func (o outgoing) describe(r *http.Request) []attribute.KeyValue {
	shown := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}
	if !o.peer.PathIsSecret {
		shown.Path = r.URL.Path
	}
	port, err := strconv.Atoi(r.URL.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[r.URL.Scheme]
	}
	return []attribute.KeyValue{
		attribute.String("http.request.method", r.Method),
		attribute.String("url.full", maskText(shown.String())),
		attribute.String(
			"url.scheme",
			r.URL.Scheme,
		),
		attribute.String("server.address", r.URL.Hostname()),
		attribute.Int("server.port", port),
	}
}

// ErrorType is a word for an error that a span may show: few, and without what the error says.
func ErrorType(err error) string {
	var timeout net.Error
	var resolution *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &resolution):
		return "name_resolution"
	default:
		return "_OTHER"
	}
}

// MaskText is text as it may be shown: with a mask where it looks like a secret.
func MaskText(text string) string { return maskText(text) }
