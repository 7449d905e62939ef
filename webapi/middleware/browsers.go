package middleware

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
)

// MaxProfileSeconds is how long a profile on the admin listener may take.
const MaxProfileSeconds = 60

// NoBrowsers refuses what a page of somebody else's makes a browser send. Host must be an address, localhost or a listed
// name, so that a name that was bound to this address anew finds nothing; an Origin must be the host's own.
func NoBrowsers(hosts []string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		host := string(c.Context().Host())
		if !listed(host, hosts) {
			return &errs.Error{Kind: errs.Forbidden, Code: "foreign_host", Message: "this listener is not reached by that name"}
		}
		site := c.Get("Sec-Fetch-Site")
		if origin := c.Get(fiber.HeaderOrigin); site == "cross-site" || site == "same-site" || origin != "" && !ofHost(origin, host) {
			return &errs.Error{Kind: errs.Forbidden, Code: "foreign_origin", Message: "pages of other sites may not ask this listener"}
		}
		return c.Next()
	}
}

func listed(host string, hosts []string) bool {
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = strings.Trim(name, "[]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(hosts, func(known string) bool { return strings.EqualFold(known, name) })
}

func ofHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}
