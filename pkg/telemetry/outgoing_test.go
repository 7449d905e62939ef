package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"florin/pkg/telemetry"
)

// record keeps all spans until the end of the test.
func record(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	return recorder
}

func attributesOf(span sdktrace.ReadOnlySpan) map[string]attribute.Value {
	all := map[string]attribute.Value{}
	for _, kv := range span.Attributes() {
		all[string(kv.Key)] = kv.Value
	}
	return all
}

// TestF140_CallsThatGoOut: by the conventions, without what is secret, and with the trace, where
// somebody traces.
func TestF140_CallsThatGoOut(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	recorder := record(t)
	call := func(ctx context.Context, peer telemetry.Peer, url string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		require.NoError(t, err)
		response, err := (&http.Client{Transport: telemetry.Outgoing(http.DefaultTransport, peer)}).Do(
			request,
		)
		require.Empty(t, request.Header, "the caller's request stays as it is")
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	require.NoError(t, call(t.Context(), telemetry.Peer{Traced: true}, server.URL))
	require.Empty(t, recorder.Ended(), "without a trace there is no span")
	require.Empty(t, got.Get("Traceparent"))

	state, err := trace.ParseTraceState("vendor=a")
	require.NoError(t, err)
	remote := trace.NewSpanContext(
		trace.SpanContextConfig{
			TraceID:    trace.TraceID{1},
			SpanID:     trace.SpanID{2},
			TraceFlags: trace.FlagsSampled,
			TraceState: state,
		},
	)
	ctx, parent := otel.Tracer("test").
		Start(trace.ContextWithRemoteSpanContext(t.Context(), remote), "work")
	require.NoError(
		t,
		call(ctx, telemetry.Peer{Traced: true}, server.URL+"/v1/payments?key=hunter2"),
	)
	require.Equal(t, "vendor=a", got.Get("Tracestate"))
	span := recorder.Ended()[0]
	assert.Contains(t, got.Get("Traceparent"), span.SpanContext().SpanID().String())
	assert.Equal(t, "POST", span.Name())
	assert.Equal(t, trace.SpanKindClient, span.SpanKind())
	assert.Equal(t, parent.SpanContext().SpanID(), span.Parent().SpanID())
	has := attributesOf(span)
	assert.Equal(t, server.URL+"/v1/payments", has["url.full"].AsString())
	assert.Equal(t, "POST", has["http.request.method"].AsString())
	assert.EqualValues(t, 200, has["http.response.status_code"].AsInt64())
	assert.Equal(t, "127.0.0.1", has["server.address"].AsString())
	assert.NotZero(t, has["server.port"].AsInt64())

	require.NoError(t, call(ctx, telemetry.Peer{PathIsSecret: true}, server.URL+"/hooks/hunter2"))
	require.Empty(t, got.Get("Traceparent"), "this one is told nothing")
	assert.Equal(t, server.URL, attributesOf(recorder.Ended()[1])["url.full"].AsString())

	require.NoError(t, call(ctx, telemetry.Peer{}, server.URL+"/broken"))
	assert.Equal(t, "502", attributesOf(recorder.Ended()[2])["error.type"].AsString())
	assert.Equal(t, codes.Error, recorder.Ended()[2].Status().Code)

	require.Error(t, call(ctx, telemetry.Peer{}, "http://127.0.0.1:1/hunter2"))
	assert.Equal(t, "_OTHER", attributesOf(recorder.Ended()[3])["error.type"].AsString())
	for _, span := range recorder.Ended()[:2] {
		for _, value := range attributesOf(span) {
			assert.NotContains(t, value.Emit(), "hunter2")
		}
	}
}

func TestF140_KindsOfErrors(t *testing.T) {
	for want, err := range map[string]error{"canceled": context.Canceled, "timeout": context.DeadlineExceeded, "_OTHER": errors.New("x")} {
		assert.Equal(t, want, telemetry.ErrorType(err))
	}
}

// TestF140_StoredTraces: the tracestate is kept where a trace is stored, unless it is longer than
// anybody has to pass on.
func TestF140_StoredTraces(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	x := strings.Repeat("x", 250)
	long := "a=" + x + ",b=" + x + ",c=" + x
	for stored, again := range map[string]string{parent: parent, parent + " vendor=a": parent + " vendor=a", parent + " " + long: parent, "": "", "nonsense": ""} {
		assert.Equal(t, again, telemetry.Carried(telemetry.Continue(t.Context(), stored)), stored)
	}
	first, second := telemetry.SplitCarried(parent + " vendor=a")
	assert.Equal(t, []string{parent, "vendor=a"}, []string{first, second})
}
