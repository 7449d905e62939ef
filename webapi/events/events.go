// Package events is the web API's live stream of payment events: Server-Sent Events.
package events

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/trace"

	"florin/service/stream"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// HeaderLastEventID names the last event that the client has seen.
const HeaderLastEventID = "Last-Event-ID"

// LastEventID is the query parameter for clients that cannot set the header.
const LastEventID = "last_event_id"

// Hub is what these handlers use of the streams.
type Hub interface {
	Open(ctx context.Context, userID string, after stream.After) (*stream.Stream, error)
}

// Deps is what the handlers are built from. Fields without a comment are required.
type Deps struct {
	Hub Hub
	// Verifier is asked about a stream's credential again and again.
	Verifier middleware.Verifier
	// Sent counts events written; nil counts nothing.
	Sent func(events int)
	Log  *slog.Logger
	// Times have working zero values.
	Times Times
}

// Times are how a stream keeps in touch. Zero fields take the defaults named.
type Times struct {
	// KeepAlive is the longest silence: 15 s.
	KeepAlive time.Duration
	// Recheck is how often the credential is looked at, so that an ended one ends the stream: 500 ms. With what a Verifier
	// may remember it must stay below 5 s.
	Recheck time.Duration
	// Write is how long a client may take to read what is written: 10 s.
	Write time.Duration
}

func (t Times) withDefaults() Times {
	orElse := func(d *time.Duration, standard time.Duration) {
		if *d == 0 {
			*d = standard
		}
	}
	orElse(&t.KeepAlive, 15*time.Second)
	orElse(&t.Recheck, 500*time.Millisecond)
	orElse(&t.Write, 10*time.Second)
	return t
}

// Handlers answers GET /events. Its method is safe for concurrent use.
type Handlers struct {
	deps   Deps
	opened atomic.Uint32
}

// New returns the handlers.
func New(deps Deps) *Handlers {
	deps.Times = deps.Times.withDefaults()
	if deps.Sent == nil {
		deps.Sent = func(int) {}
	}
	return &Handlers{deps: deps}
}

// Follow streams the caller's payment events until he goes away, his credential ends, or the server stops. The answer
// begins at once; what is refused is refused before.
func (h *Handlers) Follow(c *fiber.Ctx) error {
	after, err := lastEventID(c)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	// Proxies that gather an answer before they pass it on would hold the events back.
	c.Set("X-Accel-Buffering", "no")
	if c.Method() == fiber.MethodHead {
		return nil
	}
	s, err := h.deps.Hub.Open(c.UserContext(), middleware.Caller(c).UserID.String(), after)
	if err != nil {
		c.Response().Header.Del("X-Accel-Buffering")
		return err
	}
	w := &writer{
		deps: h.deps, stream: s, conn: c.Context().Conn(), valid: middleware.Again(c, h.deps.Verifier),
		retry: retryAfter(h.opened.Add(1)),
		// The request's own context ends with its handler, and the stream begins then.
		span: trace.SpanContextFromContext(c.UserContext()),
	}
	// The deadlines of the stream's writes are not for a request after it.
	c.Context().SetConnectionClose()
	c.Context().SetBodyStreamWriter(w.run)
	return nil
}

// retryAfter is when a client comes back, spread so that those of a server that stopped do not come at once.
func retryAfter(n uint32) time.Duration {
	return time.Second + time.Duration(n%20)*100*time.Millisecond
}

// lastEventID reads where the client was: from the header, which a browser sets when it comes back, or else from the query.
func lastEventID(c *fiber.Ctx) (stream.After, error) {
	query, err := decode.ReadQuery(c, LastEventID)
	if err != nil {
		return stream.After{}, err
	}
	text := query[LastEventID]
	switch lines := c.Request().Header.PeekAll(HeaderLastEventID); {
	case len(lines) > 1:
		return stream.After{}, stream.InvalidPosition("is sent more than once")
	case len(lines) == 1 && len(lines[0]) > 0:
		text = string(lines[0])
	}
	if text == "" {
		return stream.After{}, nil
	}
	position, err := strconv.ParseUint(text, 10, 64)
	if err != nil || position > math.MaxInt64 {
		return stream.After{}, stream.InvalidPosition("is not the id of an event")
	}
	return stream.After{Position: int64(position), Given: true}, nil
}
