package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"florin/pkg/telemetry"
)

var quiet = slog.New(slog.DiscardHandler)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestTracingIsOffAndPassesATraceOn(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"nothing set": {},
		"none":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			stop, err := telemetry.StartTracing(t.Context(), env(set), "test", quiet)
			require.NoError(t, err)
			in := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
			ctx, span := otel.Tracer("test").Start(otel.GetTextMapPropagator().Extract(t.Context(), in), "work")
			span.End()
			assert.False(t, span.IsRecording())
			out := propagation.MapCarrier{}
			otel.GetTextMapPropagator().Inject(ctx, out)
			assert.Equal(t, in["traceparent"], out["traceparent"])
			require.NoError(t, stop(t.Context()))
		})
	}
}

func TestTracesAreExported(t *testing.T) {
	var received atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/v1/traces" && len(body) > 0 {
			received.Add(1)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	stop, err := telemetry.StartTracing(t.Context(), env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}), "test", quiet)
	require.NoError(t, err)
	_, span := otel.Tracer("test").Start(t.Context(), "work", trace.WithSpanKind(trace.SpanKindServer))
	assert.True(t, span.SpanContext().IsSampled())
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, stop(ctx))
	assert.Positive(t, received.Load(), "stop must flush")
}

func TestUnknownExporterIsRefused(t *testing.T) {
	_, err := telemetry.StartTracing(t.Context(), env(map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}), "test", quiet)
	require.ErrorContains(t, err, "OTEL_TRACES_EXPORTER")
}
