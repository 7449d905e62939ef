package telemetry_test

import (
	"compress/gzip"
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
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"florin/pkg/telemetry"
)

var quiet = slog.New(slog.DiscardHandler)

func TestTracingIsOffAndPassesATraceOn(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"nothing set": {},
		"none":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			stop, err := telemetry.StartTracing(t.Context(), set, "test", quiet)
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
	stop, err := telemetry.StartTracing(t.Context(), map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}, "test", quiet)
	require.NoError(t, err)
	_, span := otel.Tracer("test").Start(t.Context(), "work", trace.WithSpanKind(trace.SpanKindServer))
	assert.True(t, span.SpanContext().IsSampled())
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, stop(ctx))
	assert.Positive(t, received.Load(), "stop must flush")
}

// TestF140_SettingsAreHeededOrRefused: no setting of OpenTelemetry is passed over in silence.
func TestF140_SettingsAreHeededOrRefused(t *testing.T) {
	for name, refused := range map[string]map[string]string{
		"gRPC":               {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"gRPC for traces":    {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
		"JSON":               {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
		"other propagators":  {"OTEL_PROPAGATORS": "tracecontext,b3"},
		"other exporter":     {"OTEL_TRACES_EXPORTER": "zipkin"},
		"pushed metrics":     {"OTEL_METRICS_EXPORTER": "otlp"},
		"pushed logs":        {"OTEL_LOGS_EXPORTER": "otlp"},
		"unknown sampler":    {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
		"ratio":              {"OTEL_TRACES_SAMPLER_ARG": "1.5"},
		"gRPC's own":         {"OTEL_EXPORTER_OTLP_INSECURE": "true"},
		"a typing error":     {"OTEL_EXPORTER_OTLP_ENDPIONT": "http://127.0.0.1:4318"},
		"other exporter's":   {"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://127.0.0.1:9411"},
		"endpoint":           {"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"},
		"timeout":            {"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
		"compression":        {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"},
		"headers":            {"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"},
		"certificate":        {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/dev/null"},
		"half a certificate": {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/dev/null"},
		"batches":            {"OTEL_BSP_SCHEDULE_DELAY": "1s"},
		"disabled":           {"OTEL_SDK_DISABLED": "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Len(t, telemetry.CheckSettings(refused), 1)
			_, err := telemetry.StartTracing(t.Context(), refused, "test", quiet)
			for setting, value := range refused {
				if value != "http/protobuf" {
					require.ErrorContains(t, err, setting)
				}
				require.NotContains(t, err.Error(), "hunter2")
			}
		})
	}
	require.Empty(t, telemetry.CheckSettings(map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		"OTEL_PROPAGATORS": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "100",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h/",
		"OTEL_NODE_IP": "10.0.0.1", "OTEL_SERVICE_NAME": "money", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,a=b"}))
	require.Len(t, telemetry.CheckSettings(map[string]string{"OTEL_PROPAGATORS": "b3", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}), 2)
}

// TestF140_Propagators: what goes in and out is what OTEL_PROPAGATORS says; tracestate and baggage go along.
func TestF140_Propagators(t *testing.T) {
	in := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=a", "baggage": "k=v"}
	for set, want := range map[string]propagation.MapCarrier{
		"": in, "tracecontext": {"traceparent": in["traceparent"], "tracestate": "vendor=a"}, "none": {}, "baggage": {"baggage": "k=v"},
	} {
		stop, err := telemetry.StartTracing(t.Context(), map[string]string{"OTEL_PROPAGATORS": set}, "test", quiet)
		require.NoError(t, err)
		out := propagation.MapCarrier{}
		otel.GetTextMapPropagator().Inject(otel.GetTextMapPropagator().Extract(t.Context(), in), out)
		assert.Equal(t, want, out, set)
		require.NoError(t, stop(t.Context()))
	}
	otel.SetTextMapPropagator(propagation.TraceContext{})
}

// TestF140_CollectorIsAskedAgain: a collector that is busy gets the same spans later, one that refuses does not; headers and
// compression are what the settings say, and the resource says which program of which version on which instance.
func TestF140_CollectorIsAskedAgain(t *testing.T) {
	var tries atomic.Int64
	var body atomic.Pointer[[]byte]
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Api-Key") != "a b" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if read, err := io.ReadAll(unpacked); err == nil {
			body.Store(&read)
		}
	}))
	defer collector.Close()
	stop, err := telemetry.StartTracing(t.Context(), map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.URL + "/in",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b"}, "v9.9.9", quiet)
	require.NoError(t, err)
	_, span := otel.Tracer("test").Start(t.Context(), "work")
	span.End()
	require.NoError(t, stop(t.Context()))
	require.EqualValues(t, 2, tries.Load())
	require.NotNil(t, body.Load())
	var sent tracepb.TracesData
	require.NoError(t, proto.Unmarshal(*body.Load(), &sent))
	resource := map[string]string{}
	for _, kv := range sent.ResourceSpans[0].Resource.Attributes {
		resource[kv.Key] = kv.Value.GetStringValue()
	}
	assert.Equal(t, "florin", resource["service.name"])
	assert.Equal(t, "v9.9.9", resource["service.version"])
	assert.NotEmpty(t, resource["service.instance.id"])
}
