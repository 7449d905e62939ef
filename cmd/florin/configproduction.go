package main

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"florin/infra/provider/stripe"
)

// exposure is one thing that a server with people's money must not be open to.
type exposure struct {
	setting, text string
	found         func(c Config) bool
}

// exposures are by the names that PRODUCTION_EXCEPTIONS takes.
var exposures = map[string]exposure{
	"webhook_private": {"WEBHOOK_ALLOW_PRIVATE", "users' webhooks could reach private networks",
		func(c Config) bool { return c.WebhookAllowPrivate }},
	"rate_limit_off": {"RATE_LIMIT", "nothing would bound what one caller asks for",
		func(c Config) bool { return c.RateLimit == "off" }},
	"wide_proxies": {"TRUSTED_PROXIES", "a network wider than /8, or /16 of IPv6, lets everybody name their own address",
		func(c Config) bool { return slices.ContainsFunc(c.TrustedProxies, wide) }},
	"smtp_clear": {"SMTP_URL", "mails and the password would cross the network in clear", mailInClear},
	"postgres_clear": {"DATABASE_URL", "the books would cross the network in clear: set sslmode=verify-full, verify-ca or require",
		databaseInClear},
	"broker_clear": {"EVENT_BUS_URL", "a broker's password would cross the network in clear: set tls=true", brokerInClear},
	"admin_addr_all": {"ADMIN_ADDR", "the admin listener would be on all addresses",
		func(c Config) bool { return onAllAddresses(c.AdminAddr) }},
	"stripe_api_base": {"STRIPE_API_BASE", "the key would be sent to an address that is not Stripe's",
		func(c Config) bool {
			return c.StripeAPIBase != "" && strings.TrimSuffix(c.StripeAPIBase, "/") != "https://api.stripe.com"
		}},
	"http_pages": {"STRIPE_SUCCESS_URL", "STRIPE_SUCCESS_URL and STRIPE_CANCEL_URL must be https",
		func(c Config) bool { return inClear(c.StripeSuccessURL) || inClear(c.StripeCancelURL) }},
	"http_origins": {"CORS_ORIGINS", "an origin of http can be anybody on the way",
		func(c Config) bool {
			return slices.ContainsFunc(slices.Collect(maps.Keys(c.CORSOrigins)), inClear)
		}},
	"test_key": {"STRIPE_API_KEY", "a test key moves no real money; production needs sk_live_ or rk_live_, PROFILE=staging takes it",
		func(c Config) bool { return c.Profile == profileProduction && c.stripeMode() == "test" }},
}

// refuseExposures is for production and staging.
func (r *reader) refuseExposures(c Config) {
	for _, name := range slices.Sorted(maps.Keys(exposures)) {
		if e := exposures[name]; e.found(c) && !slices.Contains(c.Exceptions, name) {
			r.fault(e.setting, "%s (accepted with %s in PRODUCTION_EXCEPTIONS)", e.text, name)
		}
	}
	if c.Profile == profileStaging && c.stripeMode() == "live" {
		r.fault("STRIPE_API_KEY", "a live key moves real money; staging takes sk_test_ or rk_test_ alone")
	}
}

// exceptions reads what is accepted by name.
func (r *reader) exceptions(list string) []string {
	var each []string
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if _, known := exposures[name]; !known {
			r.fault("PRODUCTION_EXCEPTIONS", "%q is not one of: %s", name,
				strings.Join(slices.Sorted(maps.Keys(exposures)), ", "))
		}
		each = append(each, name)
	}
	return each
}

// stripeMode is "live" or "test" by the key, "" without a good one.
func (c Config) stripeMode() string {
	switch live, err := stripe.CheckAPIKey(string(c.StripeAPIKey)); {
	case err != nil:
		return ""
	case live:
		return "live"
	}
	return "test"
}

// summary is what a start says of its configuration, for the log. It holds no secret.
func (c Config) summary() []any {
	mode, database := c.stripeMode(), string(c.DatabaseURL)
	if mode == "" {
		mode = "none"
	}
	if u, err := url.Parse(database); !c.onSQLite() && err == nil {
		database = u.Scheme + "://" + u.Host + u.Path
	}
	return []any{"profile", c.Profile, "provider", c.PaymentProvider, "stripe_mode", mode, "database", database,
		"http_addr", c.HTTPAddr, "admin_addr", c.AdminAddr, "exceptions", strings.Join(c.Exceptions, ",")}
}

func wide(network netip.Prefix) bool {
	if network.Addr().Is4() {
		return network.Bits() < 8
	}
	return network.Bits() < 16
}

func inClear(address string) bool { return strings.HasPrefix(strings.ToLower(address), "http://") }

// local says that a host is this machine: its name, a loopback address or the path of a socket.
func local(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasPrefix(host, "/") || err == nil && addr.Unmap().IsLoopback()
}

func remote(host string) bool { return !local(host) }

func onAllAddresses(address string) bool {
	host, _, err := net.SplitHostPort(address)
	addr, notIP := netip.ParseAddr(host)
	return err == nil && (host == "" || notIP == nil && addr.Unmap().IsUnspecified())
}

func mailInClear(c Config) bool {
	u, err := url.Parse(string(c.SMTPURL))
	return err == nil && u.Query().Get("starttls") == "off" && remote(u.Hostname())
}

func databaseInClear(c Config) bool {
	u, err := url.Parse(string(c.DatabaseURL))
	if c.onSQLite() || err != nil {
		return false
	}
	hosts := strings.Split(u.Hostname(), ",")
	for _, given := range append(u.Query()["host"], u.Query()["hostaddr"]...) {
		hosts = append(hosts, strings.Split(given, ",")...)
	}
	secured := []string{"require", "verify-ca", "verify-full"}
	return slices.ContainsFunc(hosts, remote) && !slices.Contains(secured, u.Query().Get("sslmode"))
}

func brokerInClear(c Config) bool {
	for _, b := range c.EventBus {
		if b.Password == "" || b.Options().TLS() != nil {
			continue
		}
		for _, address := range b.Hosts {
			if host, _, err := net.SplitHostPort(address); err != nil || remote(host) {
				return true
			}
		}
	}
	return false
}
