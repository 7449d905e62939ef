package middleware

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"florin/domain/errs"
)

const (
	corsMethods = "GET, POST, PUT, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, Prefer, X-Request-Id, Last-Event-ID, " +
		"If-None-Match, Cache-Control, Traceparent, Tracestate, Baggage"
	corsExposed = "Location, ETag, Retry-After, Idempotency-Replayed, Preference-Applied, X-Request-Id, WWW-Authenticate"
)

// Origins is the browsers' origins that may call the API.
type Origins map[string]struct{}

// ParseOrigins reads a comma-separated list of origins, as in CORS_ORIGINS. A wildcard and "null" are refused: every
// page can be of origin "null".
func ParseOrigins(list string) (Origins, error) {
	origins := Origins{}
	for _, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		parsed, err := url.Parse(item)
		if err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") ||
			parsed.Scheme+"://"+parsed.Host != item || strings.Contains(item, "*") {
			return nil, fmt.Errorf("CORS_ORIGINS: %q is not an origin like https://app.example.com", item)
		}
		origins[strings.ToLower(item)] = struct{}{}
	}
	return origins, nil
}

// CORS answers browsers for the listed origins alone. Credentials are bearer tokens, so cookies are never allowed.
func CORS(origins Origins) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if len(origins) > 0 {
			c.Vary(fiber.HeaderOrigin)
		}
		origin := c.Get(fiber.HeaderOrigin)
		if origin == "" {
			return c.Next()
		}
		_, listed := origins[strings.ToLower(origin)]
		preflight := c.Method() == fiber.MethodOptions && c.Get(fiber.HeaderAccessControlRequestMethod) != ""
		if !listed {
			if preflight {
				return errs.New(errs.Forbidden, "origin_not_allowed", "this origin may not call the API from a browser")
			}
			return c.Next()
		}
		allowOrigin(&c.Response().Header, origin)
		if !preflight {
			return c.Next()
		}
		c.Set(fiber.HeaderAccessControlAllowMethods, corsMethods)
		c.Set(fiber.HeaderAccessControlAllowHeaders, corsHeaders)
		c.Set(fiber.HeaderAccessControlMaxAge, "600")
		return c.SendStatus(fiber.StatusNoContent)
	}
}

// allow lets a page of a listed origin read an answer that no route makes. Where the headers were not
// read, because they are too large, the origin is known only if one alone is listed.
func (o Origins) allow(ctx *fasthttp.RequestCtx) {
	if len(o) == 0 {
		return
	}
	ctx.Response.Header.Add(fiber.HeaderVary, fiber.HeaderOrigin)
	origin := string(ctx.Request.Header.Peek(fiber.HeaderOrigin))
	if len(ctx.Request.Header.Host()) == 0 && len(o) == 1 {
		for only := range o {
			origin = only
		}
	}
	if _, listed := o[strings.ToLower(origin)]; listed {
		allowOrigin(&ctx.Response.Header, origin)
	}
}

func allowOrigin(header *fasthttp.ResponseHeader, origin string) {
	header.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set(fiber.HeaderAccessControlExposeHeaders, corsExposed)
}
