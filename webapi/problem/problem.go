// Package problem turns every error of the HTTP edge into one RFC 9457 document. It holds the only table from kinds of
// errors to statuses, and the only place where an internal error is logged.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/errs"
)

// ContentType is the media type of every error.
const ContentType = "application/problem+json"

// RequestIDHeader carries the id of a request, in and out.
const RequestIDHeader = "X-Request-Id"

// TypeBase and a code make the link to what the code means.
const TypeBase = "/docs/errors#"

// Problem is an RFC 9457 document.
type Problem struct {
	Type      string  `json:"type" required:"true" description:"Link to what the code means" format:"uri-reference" example:"/docs/errors#insufficient_funds"`
	Title     string  `json:"title" required:"true" description:"The status in words" example:"Unprocessable Entity"`
	Status    int     `json:"status" required:"true" description:"The HTTP status" example:"422"`
	Detail    string  `json:"detail" required:"true" description:"What happened, for people"`
	Instance  string  `json:"instance" required:"true" description:"The path of the request" format:"uri-reference"`
	Code      string  `json:"code" required:"true" description:"Stable name of the error, for programs" example:"insufficient_funds"`
	RequestID string  `json:"request_id" required:"true" description:"Name this when you ask for help"`
	Errors    []Field `json:"errors" required:"true" nullable:"false" description:"What is wrong, field by field; empty when no field is to blame"`
}

// Field is one fault of one field of the request.
type Field struct {
	Field   string `json:"field" required:"true" description:"The JSON name" example:"amount"`
	Code    string `json:"code" required:"true" example:"too_many_decimals"`
	Message string `json:"message" required:"true"`
}

// statuses is the one table from kinds to statuses. A timeout of ours is 503: what the client can do is the same, and
// the contract has no 504.
var statuses = map[errs.Kind]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.Malformed:       http.StatusBadRequest,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Forbidden:       http.StatusForbidden,
	errs.NotFound:        http.StatusNotFound,
	errs.Conflict:        http.StatusConflict,
	errs.TooLarge:        http.StatusRequestEntityTooLarge,
	errs.Unsupported:     http.StatusUnsupportedMediaType,
	errs.Refused:         http.StatusUnprocessableEntity,
	errs.Limited:         http.StatusTooManyRequests,
	errs.Unavailable:     http.StatusServiceUnavailable,
	errs.Timeout:         http.StatusServiceUnavailable,
}

// StatusOf returns the status of a kind.
func StatusOf(kind errs.Kind) int {
	if status, known := statuses[kind]; known {
		return status
	}
	return http.StatusInternalServerError
}

// fault is a classified error.
type fault struct {
	status     int
	code       string
	detail     string
	fields     []errs.Field
	retryAfter time.Duration
}

// Handler returns the one error handler of the app. It never fails and never shows what is internal.
func Handler(log *slog.Logger) fiber.ErrorHandler {
	return func(c *fiber.Ctx, err error) error {
		f := classify(err)
		requestID := RequestID(c)
		if f.status == http.StatusInternalServerError {
			logInternal(c, log, requestID, err)
		}
		return write(c, f, requestID)
	}
}

type requestIDKey struct{}

// SetRequestID gives the request and its answer their id.
func SetRequestID(c *fiber.Ctx, id string) {
	c.Set(RequestIDHeader, id)
	c.Locals(requestIDKey{}, id)
}

// RequestID returns the id that the answer carries, and gives it a new one when nothing did yet.
func RequestID(c *fiber.Ctx) string {
	if id, known := c.Locals(requestIDKey{}).(string); known {
		return id
	}
	id := uuid.NewString()
	SetRequestID(c, id)
	return id
}

func classify(err error) fault {
	var known *errs.Error
	if errors.As(err, &known) {
		if known.Kind == errs.Internal {
			return internal()
		}
		return fault{status: StatusOf(known.Kind), code: known.Code, detail: known.Message, fields: known.Fields, retryAfter: known.RetryAfter}
	}
	var fromFiber *fiber.Error
	if errors.As(err, &fromFiber) {
		return ofStatus(fromFiber.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault{status: http.StatusServiceUnavailable, code: "timeout", detail: "the request took too long"}
	}
	return internal()
}

func internal() fault {
	return fault{status: http.StatusInternalServerError, code: "internal", detail: "something went wrong on our side"}
}

// ofStatus describes what Fiber and fasthttp refuse themselves. Their texts quote the request and are not shown.
func ofStatus(status int) fault {
	switch status {
	case http.StatusBadRequest, http.StatusBadGateway:
		// fasthttp says "bad gateway" of a client's broken connection.
		return fault{status: http.StatusBadRequest, code: "malformed_request", detail: "the request is not valid HTTP"}
	case http.StatusNotFound:
		return fault{status: status, code: "route_not_found", detail: "there is no such route"}
	case http.StatusMethodNotAllowed:
		return fault{status: status, code: "method_not_allowed", detail: "the route does not take this method"}
	case http.StatusRequestTimeout:
		return fault{status: status, code: "request_timeout", detail: "the request did not arrive in time"}
	case http.StatusRequestEntityTooLarge:
		return fault{status: status, code: "body_too_large", detail: "the body is larger than the route takes"}
	case http.StatusRequestURITooLong:
		return fault{status: status, code: "uri_too_long", detail: "the URL is too long"}
	case http.StatusRequestHeaderFieldsTooLarge:
		return fault{status: status, code: "headers_too_large", detail: "the headers are too large"}
	}
	if status >= 400 && status < 500 && http.StatusText(status) != "" {
		name := strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(strings.ToLower(http.StatusText(status)))
		return fault{status: status, code: name, detail: strings.ToLower(http.StatusText(status))}
	}
	return internal()
}

func write(c *fiber.Ctx, f fault, requestID string) error {
	setHeaders(c, f)
	document := Problem{Type: TypeBase + f.code, Title: http.StatusText(f.status), Status: f.status, Detail: f.detail,
		Instance: instance(c), Code: f.code, RequestID: requestID, Errors: make([]Field, 0, len(f.fields))}
	for _, field := range f.fields {
		document.Errors = append(document.Errors, Field{Field: field.Name, Code: field.Code, Message: field.Message})
	}
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	c.Response().ResetBody()
	c.Status(f.status).Set(fiber.HeaderContentType, ContentType)
	return c.Send(body)
}

func setHeaders(c *fiber.Ctx, f fault) {
	switch f.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="florin"`
		if f.code == "invalid_token" {
			challenge += `, error="invalid_token"`
		}
		c.Set(fiber.HeaderWWWAuthenticate, challenge)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.retryAfter = max(f.retryAfter, time.Second)
	}
	if f.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
}

// instance is the path without the query, which may hold what is nobody else's business.
func instance(c *fiber.Ctx) string {
	const longest = 256
	path := strings.ToValidUTF8(c.Path(), "")
	if len(path) > longest {
		path = strings.ToValidUTF8(path[:longest], "")
	}
	return path
}

// panicked is a panic on its way to the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// Panicked makes an internal error of what recover returned; it must be called in the deferred function.
func Panicked(value any) error { return &panicked{value: value, stack: debug.Stack()} }

func logInternal(c *fiber.Ctx, log *slog.Logger, requestID string, err error) {
	ctx := c.UserContext()
	attrs := []slog.Attr{slog.String("request_id", requestID), slog.String("method", c.Method()), slog.String("route", c.Route().Path)}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	attrs = append(attrs, slog.String("error", err.Error()))
	var crash *panicked
	if errors.As(err, &crash) {
		attrs = append(attrs, slog.String("stack", string(crash.stack)))
	}
	log.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
}
