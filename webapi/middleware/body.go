package middleware

import (
	"mime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
)

// Body refuses bodies above the limit in bytes, bodies that are not JSON, and encoded ones. Harden refuses what is too
// large before it is read; this is the same limit for an app that is not hardened, and for a route with a lower one.
func Body(limit int) fiber.Handler {
	return func(c *fiber.Ctx) error {
		header := &c.Request().Header
		for _, encoding := range header.PeekAll(fiber.HeaderContentEncoding) {
			if !strings.EqualFold(string(encoding), "identity") {
				return errs.New(errs.Unsupported, "unsupported_encoding", "an encoded body is not taken")
			}
		}
		if header.ContentLength() > limit || len(c.Request().Body()) > limit {
			return errs.New(errs.TooLarge, "body_too_large", "the body is larger than the route takes")
		}
		if len(c.Request().Body()) > 0 && !isJSON(string(header.ContentType())) {
			return errs.New(errs.Unsupported, "unsupported_media_type", "the body must be application/json")
		}
		return c.Next()
	}
}

func isJSON(contentType string) bool {
	if contentType == fiber.MIMEApplicationJSON {
		return true
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || media != fiber.MIMEApplicationJSON {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
