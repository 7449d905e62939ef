package middleware

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/cards"
	"florin/domain/user"
	"florin/webapi/decode"
	"florin/webapi/problem"
)

const maxRequestID = 64

// RequestID gives every request an id: the client's own when it is 1 to 64 safe characters and no
// card's number, for it is logged; a new one otherwise.
func RequestID() fiber.Handler {
	return func(c *fiber.Ctx) error {
		id := c.Get(problem.RequestIDHeader)
		if !safeID(id) || len(c.Request().Header.PeekAll(problem.RequestIDHeader)) > 1 {
			id = uuid.NewString()
		}
		problem.SetRequestID(c, id)
		return c.Next()
	}
}

func safeID(id string) bool {
	if len(id) < 1 || len(id) > maxRequestID || cards.Holds(id) {
		return false
	}
	for i := range len(id) {
		b := id[i]
		safe := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.'
		if !safe {
			return false
		}
	}
	return true
}

// Origin returns where the request came from, for audits and limits.
func Origin(c *fiber.Ctx) user.Origin {
	return user.Origin{Address: Address(c).String(), Request: problem.RequestID(c)}
}

// Operator is the caller as whoever does something that the audit keeps, with the reason given.
func Operator(c *fiber.Ctx, reason string) account.Operator {
	from := Origin(c)
	return account.Operator{Name: Caller(c).UserID.String(), Reason: reason, Address: from.Address, Request: from.Request}
}

// Recover turns a panic of what follows into an internal error; the process lives on.
func Recover() fiber.Handler {
	return func(c *fiber.Ctx) (err error) {
		defer func() {
			if value := recover(); value != nil {
				err = problem.Panicked(value)
			}
		}()
		return c.Next()
	}
}

// Log writes one record for each request: the route, not the path, and no query, header or body, because any of them
// may hold a secret. It renders the error of what follows, so it stands outside of what may fail.
func Log(log *slog.Logger, now func() time.Time) fiber.Handler {
	return func(c *fiber.Ctx) error {
		began := now()
		err := c.Next()
		route := c.Route().Path
		if err != nil {
			if c.Route().Method == "" || isMiddleware(c, err) {
				route = "none"
			}
			if err := c.App().ErrorHandler(c, err); err != nil {
				return err
			}
		}
		attrs := append(make([]slog.Attr, 0, 8), slog.String("request_id", problem.RequestID(c)), slog.String("method", c.Method()),
			slog.String("route", route), slog.Int("status", c.Response().StatusCode()),
			slog.Int64("duration_us", now().Sub(began).Microseconds()), slog.String("client", Address(c).String()))
		if span := trace.SpanContextFromContext(c.UserContext()); span.HasTraceID() {
			attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
		}
		if caller, known := Identified(c); known {
			attrs = append(attrs, slog.String("user_id", caller.UserID.String()))
		}
		level := slog.LevelInfo
		if route == "/healthz" || route == "/readyz" {
			level = slog.LevelDebug
		}
		log.LogAttrs(c.UserContext(), level, "request", attrs...)
		return nil
	}
}

// isMiddleware says that no route took the request: what Fiber then names is the middleware's own prefix.
func isMiddleware(c *fiber.Ctx, err error) bool {
	var status *fiber.Error
	return errors.As(err, &status) && (status.Code == fiber.StatusNotFound || status.Code == fiber.StatusMethodNotAllowed)
}

// Deadline bounds the work for a request by c.UserContext(); a wait that the client prefers comes on top.
func Deadline(limit time.Duration) fiber.Handler {
	return func(c *fiber.Ctx) error {
		wait, _ := decode.PreferWait(c)
		ctx, cancel := context.WithTimeout(c.UserContext(), limit+wait)
		defer cancel()
		c.SetUserContext(ctx)
		return c.Next()
	}
}
