package notification

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"florin/domain/errs"
)

// maxURL bounds an endpoint's URL.
const maxURL = 2048

// ErrAddressNotAllowed is an address that webhooks must not go to.
var ErrAddressNotAllowed = errors.New("address is not allowed")

// URL is where an endpoint takes its webhooks. ParseURL makes one.
type URL struct{ text string }

// String is the URL as it was given.
func (u URL) String() string { return u.text }

// ParseURL returns the URL if webhooks may go there, or an *errs.Error (Refused) in the field url. With allowPrivate, http,
// any port, and names and addresses of private networks and of this machine are allowed too.
//
// A name is not resolved here: what it stands for is looked at when a connection is made, with CheckAddress.
func ParseURL(text string, allowPrivate bool) (URL, error) {
	if text == "" {
		return URL{}, errs.InField("url", "required", "A URL is required.")
	}
	if len(text) > maxURL {
		return URL{}, errs.InField("url", "too_long", "The URL is longer than 2048 characters.")
	}
	u, err := url.Parse(text)
	if err != nil || !plain(text) || u.Opaque != "" || u.Host == "" || u.Hostname() == "" {
		return URL{}, errs.InField("url", "invalid_url", "That is no absolute URL in ASCII.")
	}
	switch {
	case u.Scheme != "https" && !(u.Scheme == "http" && allowPrivate):
		return URL{}, notAllowed("Only https is allowed.")
	case u.User != nil:
		return URL{}, notAllowed("A URL with a user or password is not allowed.")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return URL{}, notAllowed("A URL with a fragment is not allowed.")
	case !portAllowed(u, allowPrivate):
		return URL{}, notAllowed("Only the ports 443 and 8443 are allowed.")
	}
	if err := checkHost(u.Hostname(), allowPrivate); err != nil {
		return URL{}, err
	}
	return URL{text}, nil
}

// LoadURL makes a URL of what a store kept, without checking it again: whoever sends to it does.
func LoadURL(text string) URL { return URL{text} }

func notAllowed(why string) error { return errs.InField("url", "url_not_allowed", why) }

// plain keeps out what two parsers could read in two ways.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f || text[i] == '\\' {
			return false
		}
	}
	return true
}

func portAllowed(u *url.URL, allowPrivate bool) bool {
	switch port := u.Port(); port {
	case "", "443", "8443":
		return !strings.HasSuffix(u.Host, ":")
	default:
		number, err := strconv.ParseUint(port, 10, 16)
		return allowPrivate && err == nil && number > 0
	}
}

// privateSuffixes are names that only mean something inside a network or on a machine.
var privateSuffixes = []string{"localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa", "corp", "home"}

func checkHost(host string, allowPrivate bool) error {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || CheckAddress(address, allowPrivate) != nil {
			return notAllowed("The address is private, reserved or not reachable from outside.")
		}
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errs.InField("url", "invalid_url", "The host is neither a name nor an address in its usual form.")
		}
	}
	// Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses. Where the last label is a number, only the usual form
	// is an address, and that one was handled above.
	if looksNumeric(labels[len(labels)-1]) {
		return notAllowed("An address is allowed in its usual form only.")
	}
	if allowPrivate {
		return nil
	}
	if len(labels) == 1 {
		return notAllowed("A name without a domain is not allowed.")
	}
	for _, suffix := range privateSuffixes {
		if strings.HasSuffix(name, "."+suffix) {
			return notAllowed("The name belongs to a private network.")
		}
	}
	return nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func looksNumeric(label string) bool {
	digits := strings.TrimPrefix(label, "0x")
	hex := digits != label
	for i := range len(digits) {
		c := digits[i]
		if !(c >= '0' && c <= '9' || hex && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// The networks of private use and of this machine, which a setting opens.
var privateNetworks = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128")

// The networks that nobody's public server is in (IANA's special-purpose registries), and the addresses at which clouds
// tell a machine its credentials.
var reservedNetworks = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fd00:ec2::254/128", "fd20:ce::254/128")

// globalUnicast is the only part of IPv6 that is routed in public. What embeds an IPv4 address outside of it (mapped,
// compatible, NAT64) is refused with the rest.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// CheckAddress returns ErrAddressNotAllowed for an address that webhooks must not go to. With allowPrivate, those of private
// networks and of this machine are allowed; link-local, multicast, unspecified, metadata and reserved ones never are.
func CheckAddress(address netip.Addr, allowPrivate bool) error {
	if address.Is4In6() {
		// A socket of one kind reaches the other through this form, so it is judged as what it reaches.
		address = address.Unmap()
	}
	address = address.WithZone("")
	if inAny(reservedNetworks, address) || !address.IsValid() {
		return ErrAddressNotAllowed
	}
	if inAny(privateNetworks, address) {
		if allowPrivate {
			return nil
		}
		return ErrAddressNotAllowed
	}
	if address.Is6() && !globalUnicast.Contains(address) {
		return ErrAddressNotAllowed
	}
	return nil
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func inAny(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
