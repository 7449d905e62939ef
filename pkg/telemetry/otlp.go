package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// collectorAnswer is how much of a collector's answer is read.
const collectorAnswer = 64 << 10

// collector sends spans by OTLP over HTTP, as protobuf. OpenTelemetry's own client compiles gRPC,
// which nothing here uses.
type collector struct {
	settings traceSettings
	http     *http.Client
}

var _ otlptrace.Client = (*collector)(nil)

func newCollector(settings traceSettings) *collector {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        2,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: settings.timeout,
		TLSClientConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			RootCAs:      settings.roots,
			Certificates: settings.certificates,
		},
	}
	return &collector{
		settings: settings,
		http: &http.Client{Transport: transport, Timeout: settings.timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Start implements otlptrace.Client. It makes no call.
func (c *collector) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *collector) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client: within the timeout it tries again where the collector
// asks for that. No error shows a header.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData and ExportTraceServiceRequest are one message on the wire.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	if c.settings.gzip {
		if body, err = compressed(body); err != nil {
			return fmt.Errorf("compress spans: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.settings.timeout)
	defer cancel()
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.send(ctx, body) })
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	return nil
}

func compressed(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(body)
	err = errors.Join(err, w.Close())
	return packed.Bytes(), err
}

func (c *collector) send(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(
		ctx,
		http.MethodPost,
		c.settings.endpoint,
		bytes.NewReader(body),
	)
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, value := range c.settings.headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "florin")
	if c.settings.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, collectorAnswer))
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests,
		status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable,
		status == http.StatusGatewayTimeout:
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
			return backoff.RetryAfter(int(seconds))
		}
		return fmt.Errorf("the collector answers %d", status)
	case status < 200 || status > 299:
		return backoff.Permanent(fmt.Errorf("the collector answers %d", status))
	}
	if refused := refusedSpans(answer); err == nil && refused > 0 {
		otel.Handle(fmt.Errorf("the collector refused %d spans", refused))
	}
	return nil
}

// refusedSpans reads ExportTraceServiceResponse.partial_success.rejected_spans: field 1 of field 1.
func refusedSpans(answer []byte) uint64 {
	partial, _ := protowire.ConsumeBytes(fieldOne(answer, protowire.BytesType))
	refused, n := protowire.ConsumeVarint(fieldOne(partial, protowire.VarintType))
	if n < 0 {
		return 0
	}
	return refused
}

// fieldOne is the message from the value of its field 1 on, nil where there is none of that type.
func fieldOne(message []byte, kind protowire.Type) []byte {
	for len(message) > 0 {
		number, got, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == 1 && got == kind {
			return message
		}
		if n = protowire.ConsumeFieldValue(number, got, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
