package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// StartTracing sets the global tracer provider and the propagator. Spans are exported by OTLP over HTTP when one of
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp is set in environ, and nowhere
// otherwise: then nothing touches the network. The error names every OTEL_ setting that cannot be heeded.
//
// stop flushes what is left, until its ctx ends. An exporter that fails is logged and hinders nobody.
func StartTracing(ctx context.Context, environ map[string]string, version string, log *slog.Logger) (stop func(context.Context) error, err error) {
	settings, faults := readTraceSettings(environ)
	for _, fault := range faults {
		err = errors.Join(err, fault)
	}
	if err != nil {
		return nil, err
	}
	otel.SetTextMapPropagator(settings.propagator)
	withheld.Store(settings.withheld)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	if !settings.exports {
		otel.SetTracerProvider(noop.NewTracerProvider())
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptrace.New(ctx, newCollector(settings))
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

// describe names the program. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is built in. A part that cannot
// be found out is left out.
func describe(ctx context.Context, version string) *resource.Resource {
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "florin"), attribute.String("service.version", version),
			attribute.String("service.instance.id", uuid.NewString())),
		resource.WithFromEnv())
	if err != nil {
		otel.Handle(err)
	}
	return described
}
