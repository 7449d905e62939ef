package middleware

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
	"florin/domain/user"
)

// Verifier finds out who a bearer token belongs to. errs.Unauthenticated when it is not good.
type Verifier interface {
	Verify(ctx context.Context, token string) (user.Principal, error)
}

type identityKey struct{}

type identity struct {
	principal user.Principal
	err       error
}

// Identify reads the credential of every request that has one and refuses none, so that limits can be by user before
// a route decides whether it needs one.
func Identify(verifier Verifier) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if len(c.Request().Header.Peek(fiber.HeaderAuthorization)) > 0 {
			identify(c, verifier)
		}
		return c.Next()
	}
}

// Authenticate refuses requests without a good credential; Caller then says who it is.
func Authenticate(verifier Verifier) fiber.Handler {
	return func(c *fiber.Ctx) error {
		known, done := c.Locals(identityKey{}).(identity)
		if !done {
			known = identify(c, verifier)
		}
		if known.err != nil {
			return known.err
		}
		return c.Next()
	}
}

// RequireAdmin refuses everybody but administrators; it stands after Authenticate.
func RequireAdmin() fiber.Handler {
	return func(c *fiber.Ctx) error {
		if !Caller(c).Admin() {
			return errs.New(errs.Forbidden, "forbidden", "this needs the role admin")
		}
		return c.Next()
	}
}

// Caller returns who sends the request. Without Authenticate before it, it is nobody: the zero Principal, which owns nothing.
func Caller(c *fiber.Ctx) user.Principal {
	principal, _ := Identified(c)
	return principal
}

// Identified returns who sends the request, and whether anybody proved it.
func Identified(c *fiber.Ctx) (user.Principal, bool) {
	known, done := c.Locals(identityKey{}).(identity)
	if !done || known.err != nil {
		return user.Principal{}, false
	}
	return known.principal, true
}

// Again returns a check of the request's credential that may be called when the request's handler has returned: for an
// answer that goes on for long. Its error is the Verifier's.
func Again(c *fiber.Ctx, verifier Verifier) func(ctx context.Context) error {
	token, err := bearer(c)
	return func(ctx context.Context) error {
		if err == nil {
			_, err = verifier.Verify(ctx, token)
		}
		return err
	}
}

func identify(c *fiber.Ctx, verifier Verifier) identity {
	var known identity
	token, err := bearer(c)
	if err == nil {
		known.principal, err = verifier.Verify(c.UserContext(), token)
	}
	known.err = err
	c.Locals(identityKey{}, known)
	return known
}

func bearer(c *fiber.Ctx) (string, error) {
	lines := c.Request().Header.PeekAll(fiber.HeaderAuthorization)
	if len(lines) == 0 {
		return "", errs.New(errs.Unauthenticated, "unauthenticated", "this needs Authorization: Bearer <token>")
	}
	scheme, token, found := strings.Cut(string(lines[0]), " ")
	if len(lines) > 1 || !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errs.New(errs.Unauthenticated, "invalid_token", "the access token is not valid")
	}
	return token, nil
}
