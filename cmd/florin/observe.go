package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/errs"
	"florin/pkg/telemetry"
	webaccount "florin/webapi/account"
	"florin/webapi/problem"
)

// observe spans and counts each request. It stands inside of what renders errors, so it reads the status from the error.
func observe(metrics *telemetry.Metrics) fiber.Handler {
	tracer := otel.Tracer("florin/webapi")
	return func(c *fiber.Ctx) error {
		began := time.Now()
		ctx := otel.GetTextMapPropagator().Extract(c.UserContext(), requestHeaders{c})
		ctx = telemetry.WithRequest(ctx, problem.RequestID(c))
		ctx, span := tracer.Start(ctx, c.Method(), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		c.SetUserContext(ctx)
		err := c.Next()
		route, status := c.Route().Path, c.Response().StatusCode()
		if err != nil {
			var unrouted *fiber.Error
			if errors.As(err, &unrouted) {
				route = "none"
			}
			var code string
			status, code = outcome(err)
			metrics.Failed(code)
		}
		if span.IsRecording() {
			describeSpan(span, c.Method(), route, status)
		}
		metrics.Request(c.Method(), route, status, time.Since(began))
		return err
	}
}

func describeSpan(span trace.Span, method, route string, status int) {
	span.SetName(method + " " + route)
	span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}

// outcome is the status and the code that the error handler will answer with.
func outcome(err error) (status int, code string) {
	var known *errs.Error
	if errors.As(err, &known) {
		return problem.StatusOf(known.Kind), known.Code
	}
	var fromFiber *fiber.Error
	if errors.As(err, &fromFiber) {
		return fromFiber.Code, fmt.Sprintf("http_%d", fromFiber.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return http.StatusServiceUnavailable, "timeout"
	}
	return http.StatusInternalServerError, "internal"
}

// requestHeaders is a request's headers for the propagator.
type requestHeaders struct{ c *fiber.Ctx }

var _ propagation.TextMapCarrier = requestHeaders{}

// Get copies a header only where there is one.
func (h requestHeaders) Get(key string) string { return string(h.c.Request().Header.Peek(key)) }

// Set does nothing: a request is only read.
func (requestHeaders) Set(string, string) {}

func (h requestHeaders) Keys() []string {
	var keys []string
	for name := range h.c.Request().Header.All() {
		keys = append(keys, string(name))
	}
	return keys
}

// skewAlertEvery bounds how often a clock that is wrong is told of: every webhook of a provider tells it again.
const skewAlertEvery = time.Minute

// countWebhooks counts webhooks, and alerts where one is authentic but for its time: then a clock is wrong, ours or the
// provider's, or somebody sends old ones again.
func (a *App) countWebhooks() func(provider, verdict string) {
	var told atomic.Int64
	return func(provider, verdict string) {
		a.Metrics.Webhook(provider, verdict)
		if verdict != webaccount.VerdictOutOfTime {
			return
		}
		now, last := a.Clock().UnixNano(), told.Load()
		if since := now - last; last != 0 && since >= 0 && since < int64(skewAlertEvery) || !told.CompareAndSwap(last, now) {
			return
		}
		a.Metrics.Alert("webhook_clock")
		a.Log.Error("alert: webhook_clock", "alert", "webhook_clock", "provider", provider)
	}
}
