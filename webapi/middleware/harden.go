// Package middleware holds what every request passes before a handler sees it, one concern a file.
package middleware

import (
	"bytes"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Bounds of a request.
const (
	BodyLimit        = 64 << 10
	WebhookBodyLimit = 256 << 10
	maxHeaderBytes   = 16 << 10
	maxURIBytes      = 8 << 10
	readTimeout      = 10 * time.Second
	writeTimeout     = 60 * time.Second
	idleTimeout      = 60 * time.Second
	// streamTimeout is the write timeout of event streams, which end with their credential anyway.
	streamTimeout = 24 * time.Hour
)

// Settings returns the Fiber settings that the other parts of this package count on.
func Settings(errorHandler fiber.ErrorHandler) fiber.Config {
	return fiber.Config{
		AppName: "florin",
		// Without Immutable, values of a request change when its buffers are used for the next one.
		Immutable:             true,
		CaseSensitive:         true,
		BodyLimit:             WebhookBodyLimit,
		ReadBufferSize:        maxHeaderBytes,
		ReduceMemoryUsage:     true, // idle connections keep no buffers
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		DisableStartupMessage: true,
		// A multipart body is refused, so it must not be taken apart before.
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 errorHandler,
	}
}

// Harden sets what Fiber has no middleware for: body limits by route before the body is read, security headers on
// answers that no route makes, problems for methods nobody knows, and requests that proxies could read differently.
// The refusals carry the CORS headers of the origins, as the answers of routes do. Call it once on a new app, before it
// serves.
func Harden(app *fiber.App, origins Origins) {
	server := app.Server()
	routes, failed := server.Handler, server.ErrorHandler
	server.HeaderReceived = limitsOf
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		setSecurityHeaders(&ctx.Response.Header)
		foldAccept(&ctx.Request.Header)
		if refusal := refuseRaw(ctx); refusal != nil {
			origins.allow(ctx)
			render(app, ctx, refusal)
			return
		}
		routes(ctx)
	}
	server.ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) {
		setSecurityHeaders(&ctx.Response.Header)
		origins.allow(ctx)
		linger(ctx.Conn())
		failed(ctx, err)
	}
}

// limitsOf gives webhooks their larger bodies and event streams their time.
func limitsOf(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	config := fasthttp.RequestConfig{MaxRequestBodySize: BodyLimit}
	path, _, _ := bytes.Cut(pathOf(header.RequestURI()), []byte("?"))
	switch {
	case bytes.HasPrefix(path, []byte("/webhook/")):
		config.MaxRequestBodySize = WebhookBodyLimit
	case string(path) == "/events":
		config.WriteTimeout = streamTimeout
	}
	return config
}

// pathOf is the target without scheme and host, where it has them (RFC 9112, section 3.2.2).
func pathOf(target []byte) []byte {
	_, rest, absolute := bytes.Cut(target, []byte("://"))
	if !absolute || target[0] == '/' {
		return target
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return nil
}

// foldAccept writes media types small, because they are the same in any case (RFC 9110, section 8.3.1).
func foldAccept(header *fasthttp.RequestHeader) {
	accept := header.Peek(fiber.HeaderAccept)
	if small := bytes.ToLower(accept); !bytes.Equal(accept, small) {
		header.SetBytesV(fiber.HeaderAccept, small)
	}
}

// refuseRaw returns why a request is refused before routing, nil when it is not.
func refuseRaw(ctx *fasthttp.RequestCtx) error {
	if ambiguous(ctx.Request.Header.RawHeaders()) || misframed(&ctx.Request.Header) {
		ctx.SetConnectionClose()
		return fiber.ErrBadRequest
	}
	if len(ctx.RequestURI()) > maxURIBytes {
		return fiber.ErrRequestURITooLong
	}
	for _, method := range fiber.DefaultMethods {
		if string(ctx.Method()) == method && method != fiber.MethodTrace && method != fiber.MethodConnect {
			return nil
		}
	}
	return fiber.ErrMethodNotAllowed
}

// ambiguous finds headers that a proxy in front may have read differently: a body with two lengths, line ends that are
// not CRLF, blanks in a name, folded lines (RFC 9112, sections 2.2, 5 and 6.3).
func ambiguous(raw []byte) bool {
	framings, hosts := 0, 0
	for line := range bytes.Lines(raw) {
		if bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, []byte("\r\n")) {
			return true
		}
		name, _, named := bytes.Cut(line, []byte(":"))
		switch {
		case line[0] == ' ', line[0] == '\t', named && bytes.ContainsAny(name, " \t"):
			return true
		case bytes.EqualFold(name, []byte("Transfer-Encoding")), bytes.EqualFold(name, []byte("Content-Length")):
			framings++
		case bytes.EqualFold(name, []byte("Host")):
			hosts++
		}
	}
	return framings > 1 || hosts > 1
}

// misframed finds what HTTP/1 does not allow: another version, HTTP/1.1 without Host, Transfer-Encoding on HTTP/1.0
// (RFC 9112, sections 2.3, 3.2 and 6.1).
func misframed(header *fasthttp.RequestHeader) bool {
	switch string(header.Protocol()) {
	case "HTTP/1.1":
		return !hasHeader(header.RawHeaders(), "Host")
	case "HTTP/1.0":
		return hasHeader(header.RawHeaders(), "Transfer-Encoding")
	}
	return true
}

func hasHeader(raw []byte, name string) bool {
	for line := range bytes.Lines(raw) {
		if found, _, named := bytes.Cut(line, []byte(":")); named && bytes.EqualFold(found, []byte(name)) {
			return true
		}
	}
	return false
}

// render answers with an error outside the routes, through the app's own error handler.
func render(app *fiber.App, ctx *fasthttp.RequestCtx, err error) {
	c := app.AcquireCtx(ctx)
	defer app.ReleaseCtx(c)
	if errors.Is(err, fiber.ErrMethodNotAllowed) {
		c.Set(fiber.HeaderAllow, "GET, HEAD, POST, PUT, DELETE, OPTIONS")
	}
	if app.ErrorHandler(c, err) != nil {
		ctx.SetStatusCode(fiber.StatusInternalServerError)
	}
}

// setSecurityHeaders is for an API that no browser page is made of; the routes that do serve pages set their own
// policy. HSTS is sent over plain HTTP too, where browsers ignore it: a proxy may have taken the TLS off.
func setSecurityHeaders(header *fasthttp.ResponseHeader) {
	header.Set(fiber.HeaderStrictTransportSecurity, "max-age=63072000; includeSubDomains")
	header.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	header.Set(fiber.HeaderCacheControl, "no-store")
	header.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	header.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}
