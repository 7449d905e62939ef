package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// StartTracing sets the global tracer provider and the W3C propagator. Spans are exported by OTLP over HTTP when one of
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp is set in env, and nowhere
// otherwise: then nothing touches the network. The other OTEL_ variables are the SDK's own.
//
// stop flushes what is left, until its ctx ends. An exporter that fails is logged and hinders nobody.
func StartTracing(ctx context.Context, env func(name string) string, version string, log *slog.Logger) (stop func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	exports, err := tracesWanted(env)
	if err != nil {
		return nil, err
	}
	if !exports {
		otel.SetTracerProvider(noop.NewTracerProvider())
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("open trace exporter: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(describe(ctx, version)))
	otel.SetTracerProvider(provider)
	return func(ctx context.Context) error {
		// Whoever traces after the end must find a provider that does nothing.
		otel.SetTracerProvider(noop.NewTracerProvider())
		if err := provider.Shutdown(ctx); err != nil {
			return fmt.Errorf("flush traces: %w", err)
		}
		return nil
	}, nil
}

func tracesWanted(env func(string) string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	case "":
		return env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	default:
		return false, errors.New("OTEL_TRACES_EXPORTER: only otlp and none are built in")
	}
}

// describe names the program. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is built in. A part that cannot
// be found out is left out.
func describe(ctx context.Context, version string) *resource.Resource {
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "florin"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		otel.Handle(err)
	}
	return described
}
