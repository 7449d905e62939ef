package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
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

// unrouted is what the metrics call a request that fits no route.
const unrouted = "none"

// observe spans and counts each request. It stands inside of what renders errors, so it reads the status from the error.
func observe(metrics *telemetry.Metrics) fiber.Handler {
	tracer := otel.Tracer("florin/webapi")
	return func(c *fiber.Ctx) error {
		began := time.Now()
		ctx := otel.GetTextMapPropagator().Extract(c.UserContext(), requestHeaders{c})
		ctx = telemetry.WithRequest(ctx, problem.RequestID(c))
		ctx, span := tracer.Start(ctx, spanMethod(c.Method()), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		c.SetUserContext(ctx)
		err := c.Next()
		route, status := c.Route().Path, c.Response().StatusCode()
		if err != nil {
			var none *fiber.Error
			if errors.As(err, &none) {
				route = unrouted
			}
			var code string
			status, code = outcome(err)
			metrics.Failed(code)
		}
		if span.IsRecording() {
			describeSpan(span, c, route, status)
		}
		metrics.Request(c.Method(), route, status, time.Since(began))
		return err
	}
}

// spanMethod is the method as a span's name has it: what strangers make up is one word.
func spanMethod(method string) string {
	if i := slices.Index(fiber.DefaultMethods, method); i >= 0 {
		return fiber.DefaultMethods[i] // the request's own text is used again for the next one, and a span lives longer
	}
	return "HTTP"
}

// maxSpanPath bounds what a span shows of a path.
const maxSpanPath = 256

// describeSpan says what the semantic conventions for HTTP servers ask for. The query is left out: it is a client's own. A path that
// leads nowhere is shown with a mask, because anything may stand in it.
func describeSpan(span trace.Span, c *fiber.Ctx, route string, status int) {
	name, path := spanMethod(c.Method()), telemetry.MaskText(strings.ToValidUTF8(string(c.Request().URI().Path()), "?"))
	attributes := []attribute.KeyValue{attribute.Int("http.response.status_code", status), attribute.String("url.scheme", strings.Clone(c.Protocol())),
		attribute.String("url.path", path[:min(len(path), maxSpanPath)]), attribute.String("network.protocol.name", "http"),
		attribute.String("network.protocol.version", strings.TrimPrefix(string(c.Request().Header.Protocol()), "HTTP/"))}
	if name == "HTTP" {
		attributes = append(attributes, attribute.String("http.request.method", "_OTHER"))
	} else {
		attributes = append(attributes, attribute.String("http.request.method", name))
	}
	if local, ok := c.Context().LocalAddr().(*net.TCPAddr); ok {
		attributes = append(attributes, attribute.String("network.local.address", local.IP.String()), attribute.Int("network.local.port", local.Port))
	}
	host, port := strings.Clone(c.Hostname()), ""
	if name, number, err := net.SplitHostPort(host); err == nil {
		host, port = name, number
	}
	attributes = append(attributes, attribute.String("server.address", telemetry.MaskText(strings.ToValidUTF8(host[:min(len(host), maxSpanPath)], "?"))))
	if number, err := strconv.ParseUint(port, 10, 16); err == nil {
		attributes = append(attributes, attribute.Int("server.port", int(number)))
	}
	if route != unrouted {
		name += " " + route
		attributes = append(attributes, attribute.String("http.route", route))
	}
	if status >= http.StatusInternalServerError {
		attributes = append(attributes, attribute.String("error.type", strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.SetName(name)
	span.SetAttributes(attributes...)
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
