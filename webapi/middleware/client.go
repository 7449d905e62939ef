package middleware

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"

	"florin/domain/errs"
)

// maxHops bounds how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

// Proxies is the networks whose word about a client is taken.
type Proxies []netip.Prefix

// ParseProxies reads a comma-separated list of addresses and networks, as in TRUSTED_PROXIES.
func ParseProxies(list string) (Proxies, error) {
	var proxies Proxies
	for _, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			if addrErr != nil {
				return nil, fmt.Errorf("TRUSTED_PROXIES: %q is neither an address nor a network", item)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

// Trusts says that the address is one of a proxy.
func (p Proxies) Trusts(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

type clientKey struct{}

// Client finds the address of the client. With requireHTTPS, a request that did not come over TLS, to us or to a
// trusted proxy, is refused; the health checks are not.
func Client(proxies Proxies, requireHTTPS bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		peer := peerOf(c)
		c.Locals(clientKey{}, proxies.client(peer, headerLines(c, fiber.HeaderXForwardedFor)))
		if requireHTTPS && !c.Context().IsTLS() && c.Path() != "/healthz" && c.Path() != "/readyz" {
			schemes := headerLines(c, fiber.HeaderXForwardedProto)
			if !proxies.Trusts(peer) || len(schemes) == 0 || !strings.EqualFold(schemes[len(schemes)-1], "https") {
				return errs.New(errs.Forbidden, "https_required", "this server is only for HTTPS")
			}
		}
		return c.Next()
	}
}

// Address is the client's address, the connection's own when Client did not run.
func Address(c *fiber.Ctx) netip.Addr {
	if addr, ok := c.Locals(clientKey{}).(netip.Addr); ok {
		return addr
	}
	return peerOf(c)
}

func peerOf(c *fiber.Ctx) netip.Addr {
	addr, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	if !ok {
		return netip.IPv4Unspecified()
	}
	return addr.Unmap()
}

// client reads the forwarded addresses from the right: each was appended by the hop after it, so the first that no
// trusted proxy vouches for is the client, and everything left of it is what the client claims.
func (p Proxies) client(peer netip.Addr, forwarded []string) netip.Addr {
	addr := peer
	for i := len(forwarded) - 1; i >= 0 && len(forwarded)-i <= maxHops && p.Trusts(addr); i-- {
		next, err := netip.ParseAddr(forwarded[i])
		if err != nil {
			withPort, portErr := netip.ParseAddrPort(forwarded[i])
			if portErr != nil {
				return addr
			}
			next = withPort.Addr()
		}
		addr = next.Unmap().WithZone("")
	}
	return addr
}

// headerLines returns the comma-separated values of all lines of a header, in order.
func headerLines(c *fiber.Ctx, name string) []string {
	var values []string
	for _, line := range c.Request().Header.PeekAll(name) {
		for _, value := range strings.Split(string(line), ",") {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
