package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"

	"florin/domain/user"
	"florin/infra/fx/fixed"
	"florin/infra/fx/off"
	"florin/infra/notify/email"
	"florin/infra/provider/mock"
	"florin/infra/provider/mock/bank"
	"florin/infra/provider/stripe"
	"florin/service/auth"
	"florin/webapi/middleware"
)

// reader turns text into Config and collects what is wrong with it.
type reader struct {
	raw     rawSettings
	environ map[string]string
	faults  configError
}

func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, fault{name, fmt.Sprintf(format, args...)})
}

func (r *reader) read() Config {
	raw := r.raw
	c := Config{
		Production: raw.Profile == profileProduction || raw.Profile == profileStaging,
		Profile:    r.oneOf("PROFILE", raw.Profile, profileDevelopment, profileStaging, profileProduction),
		Exceptions: r.exceptions(raw.Exceptions),
		HTTPAddr:   r.address("HTTP_ADDR", raw.HTTPAddr), AdminAddr: r.address("ADMIN_ADDR", raw.AdminAddr),
		TLSCert: raw.TLSCert, TLSKey: raw.TLSKey,
		DataDir: filepath.Clean(raw.DataDir),

		JWTSecrets:    r.jwtSecrets(raw.JWTSecret),
		DataKeys:      r.dataKeys(raw.DataKey),
		AdminPassword: r.adminPassword(raw.AdminPassword),

		PayloadRetention: r.duration("PAYLOAD_RETENTION", raw.PayloadRetention, shortestRetention),

		PaymentProvider: r.oneOf("PAYMENT_PROVIDER", raw.PaymentProvider, mock.Name, stripe.Name),
		PaymentDeadline: r.duration("PAYMENT_DEADLINE", raw.PaymentDeadline, time.Second),
		VerifyEvery:     r.duration("VERIFY_EVERY", raw.VerifyEvery, time.Minute),
		AmountLimit:     r.amount("AMOUNT_LIMIT", raw.AmountLimit),
		OpenDeposits:    r.count("OPEN_DEPOSITS_PER_USER", raw.OpenDeposits),
		OpenAccounts:    r.count("ACCOUNTS_PER_USER", raw.OpenAccounts),

		MockBankURL:        r.link("MOCK_BANK_URL", raw.MockBankURL),
		MockBankAPIKey:     secrets(raw.MockBankAPIKey),
		MockBankWebhookURL: r.link("MOCK_BANK_WEBHOOK_URL", raw.MockBankWebhookURL),
		MockWebhookSecrets: r.webhookSecrets(raw.MockWebhookSecret),

		FXSource:              r.fxSource(raw),
		WebhookAllowPrivate:   r.boolean("WEBHOOK_ALLOW_PRIVATE", raw.WebhookAllowPrivate),
		Maintenance:           r.boolean("MAINTENANCE", raw.Maintenance),
		SMTPURL:               secret(raw.SMTPURL),
		MailFrom:              raw.MailFrom,
		ConnectionsPerAddress: r.count("CONNECTIONS_PER_ADDRESS", raw.ConnectionsPerAddress),
		AdminHosts:            r.hosts("ADMIN_HOSTS", raw.AdminHosts),
		LaneBatch:             r.count("FLORIN_LANE_BATCH", raw.LaneBatch),
	}
	c.DatabaseURL = r.databaseURL(raw.DatabaseURL, c.DataDir)
	c.EventBus = r.brokers(raw.EventBusURL)
	c.MockAutocomplete = bank.AutocompleteOff
	if raw.MockAutocomplete != "off" {
		c.MockAutocomplete = r.duration("MOCK_AUTOCOMPLETE", raw.MockAutocomplete, 0)
	}
	r.limits(&c)
	r.mail(c)
	r.tls(c)
	r.stripe(&c)
	for _, name := range notBuiltIn {
		if r.environ[name] != "" {
			r.fault(name, "this build does not have the part that it configures")
		}
	}
	return c
}

// mail checks the settings as the sender reads them. What is wrong with the URL is said without it.
func (r *reader) mail(c Config) {
	if (c.SMTPURL == "") != (c.MailFrom == "") {
		r.fault("SMTP_URL", "SMTP_URL and MAIL_FROM belong together")
		return
	}
	if c.SMTPURL == "" {
		return
	}
	if _, err := email.New(email.Config{URL: string(c.SMTPURL), From: "florin@example.com"}); err != nil {
		r.fault("SMTP_URL", "%v", err)
	}
	if _, err := email.New(email.Config{URL: "smtp://localhost", From: c.MailFrom}); err != nil {
		r.fault("MAIL_FROM", "%v", err)
	}
}

// limits reads what the web API reads itself.
func (r *reader) limits(c *Config) {
	var err error
	if c.TrustedProxies, err = middleware.ParseProxies(r.raw.TrustedProxies); err != nil {
		r.fault("TRUSTED_PROXIES", "%s", strings.TrimPrefix(err.Error(), "TRUSTED_PROXIES: "))
	}
	if c.CORSOrigins, err = middleware.ParseOrigins(r.raw.CORSOrigins); err != nil {
		r.fault("CORS_ORIGINS", "%s", strings.TrimPrefix(err.Error(), "CORS_ORIGINS: "))
	}
	c.RateLimit = r.raw.RateLimit
	if _, err := middleware.NewLimiter(c.RateLimit, time.Now); err != nil {
		r.fault("RATE_LIMIT", "%v", err)
	}
	c.RegistrationLimit = r.raw.RegistrationLimit
	if _, err := middleware.NewLimiter(c.RegistrationLimit, time.Now); err != nil {
		r.fault("REGISTRATION_LIMIT", "%v", err)
	}
	if c.HTTPAddr != "" && c.HTTPAddr == c.AdminAddr && !strings.HasSuffix(c.HTTPAddr, ":0") {
		r.fault("ADMIN_ADDR", "the same as HTTP_ADDR")
	}
}

func (r *reader) tls(c Config) {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		r.fault("TLS_CERT", "TLS_CERT and TLS_KEY belong together")
	case c.TLSCert != "":
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			r.fault("TLS_CERT", "%v", err)
		}
	}
}

func (r *reader) oneOf(name, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		r.fault(name, "%q is not one of: %s", value, strings.Join(allowed, ", "))
	}
	return value
}

// fxSource is the built-in table in development. Elsewhere its old rates would be the operator's loss, so that they are
// used only by whoever says so.
func (r *reader) fxSource(raw rawSettings) string {
	development, accepted := raw.Profile == profileDevelopment, r.boolean("FX_FIXED_OK", raw.FXFixedOK)
	switch {
	case raw.FXSource == "" && development:
		return fixed.Name
	case raw.FXSource == "":
		return off.Name
	case raw.FXSource == fixed.Name && !development && !accepted:
		r.fault("FX_SOURCE", "the built-in rates are of 2025-03-31, and whoever converts at them gains what the market has moved;"+
			" set FX_FIXED_OK=true to use them all the same")
	}
	return r.oneOf("FX_SOURCE", raw.FXSource, fixed.Name, off.Name)
}

func (r *reader) address(name, value string) string {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.fault(name, "%q is not host:port", value)
	}
	return value
}

func (r *reader) duration(name, value string, least time.Duration) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil || d < least {
		r.fault(name, "%q is not a duration like 90s or 24h of at least %s", value, least)
	}
	return d
}

func (r *reader) boolean(name, value string) bool {
	b, err := strconv.ParseBool(value)
	if err != nil {
		r.fault(name, "%q is neither true nor false", value)
	}
	return b
}

// count reads a whole number of at least 1; 0 where it is not set.
func (r *reader) count(name, value string) int {
	if value == "" {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n == 0 {
		r.fault(name, "%q is not a whole number of at least 1", value)
	}
	return int(n)
}

// hosts reads a comma-separated list of host names without ports.
func (r *reader) hosts(name, list string) (hosts []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if strings.ContainsAny(item, ":/@*? ") {
			r.fault(name, "%q is not the name of a host, without scheme and port", item)
		}
		hosts = append(hosts, item)
	}
	return hosts
}

func (r *reader) amount(name, value string) string {
	if limit, err := decimal.Parse(value); err != nil || !limit.IsPos() || strings.ContainsAny(value, "eE+") {
		r.fault(name, "%q is not a positive amount like 1000000000.00", value)
	}
	return value
}

func (r *reader) link(name, value string) string {
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.fault(name, "not a URL like http://127.0.0.1:8082 without user, query or fragment")
	}
	return value
}

// databaseURL does not quote what it refuses: it may hold a password.
func (r *reader) databaseURL(value, dataDir string) secret {
	if value == "" {
		return secret("sqlite://" + filepath.Join(dataDir, "florin.db"))
	}
	scheme, rest, found := strings.Cut(value, "://")
	switch {
	case found && scheme == "sqlite" && rest != "" && !strings.Contains(rest, "?"):
	case found && (scheme == "postgres" || scheme == "postgresql"):
		if u, err := url.Parse(value); err != nil || u.Host == "" {
			r.fault("DATABASE_URL", "not a URL like postgres://user:password@host:5432/name")
		}
	default:
		r.fault("DATABASE_URL", "neither sqlite://path/to/file.db nor postgres://user:password@host/name")
	}
	return secret(value)
}

func (r *reader) jwtSecrets(list string) []secret {
	each := secrets(list)
	for i, s := range each {
		if err := auth.CheckSecret(string(s)); err != nil {
			r.fault("JWT_SECRET", "number %d: %v", i+1, err)
		}
	}
	return each
}

// shortestRetention is longer than any provider goes on sending an event, and than one is looked after.
const shortestRetention = 7 * 24 * time.Hour

// dataKeys are held to the same length as the secrets of tokens.
func (r *reader) dataKeys(list string) []secret {
	each := secrets(list)
	for i, s := range each {
		if err := auth.CheckSecret(string(s)); err != nil {
			r.fault("DATA_KEY", "number %d: %v", i+1, err)
		}
		if slices.Contains(secrets(r.raw.JWTSecret), s) {
			r.fault("DATA_KEY", "number %d is a JWT_SECRET too; each has a secret of its own", i+1)
		}
	}
	return each
}

func (r *reader) adminPassword(password string) secret {
	if password != "" {
		for _, f := range user.CheckPassword(password, "admin") {
			r.fault("ADMIN_PASSWORD", "%s", f.Message)
		}
	}
	return secret(password)
}

// stripe reads what the adapter needs, and lets the adapter judge what it can. A key alone, or a secret alone, is a mistake:
// without the secret no payment would ever be confirmed.
func (r *reader) stripe(c *Config) {
	raw := r.raw
	c.StripeAPIKey, c.StripeWebhookSecrets = secret(raw.StripeAPIKey), secrets(raw.StripeWebhookSecret)
	c.StripeAPIBase = r.link("STRIPE_API_BASE", raw.StripeAPIBase)
	c.StripeSuccessURL, c.StripeCancelURL = r.page("STRIPE_SUCCESS_URL", raw.StripeSuccessURL), r.page("STRIPE_CANCEL_URL", raw.StripeCancelURL)
	if !c.withStripe() {
		for name, set := range map[string]bool{"STRIPE_WEBHOOK_SECRET": len(c.StripeWebhookSecrets) > 0, "STRIPE_API_BASE": c.StripeAPIBase != "",
			"STRIPE_SUCCESS_URL": c.StripeSuccessURL != "", "STRIPE_CANCEL_URL": c.StripeCancelURL != ""} {
			if set {
				r.fault(name, "is of no use without STRIPE_API_KEY")
			}
		}
		if c.PaymentProvider == stripe.Name {
			r.fault("STRIPE_API_KEY", "PAYMENT_PROVIDER=stripe needs it")
		}
		return
	}
	if _, err := stripe.CheckAPIKey(raw.StripeAPIKey); err != nil {
		r.fault("STRIPE_API_KEY", "%v", err)
	}
	if err := stripe.CheckWebhookSecrets(reveal(c.StripeWebhookSecrets)); err != nil {
		r.fault("STRIPE_WEBHOOK_SECRET", "%v", err)
	}
	if (c.StripeSuccessURL == "") != (c.StripeCancelURL == "") {
		r.fault("STRIPE_SUCCESS_URL", "STRIPE_SUCCESS_URL and STRIPE_CANCEL_URL belong together")
	}
}

// page is a URL that people are sent to.
func (r *reader) page(name, value string) string {
	if value == "" {
		return ""
	}
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		r.fault(name, "not a URL like https://shop.example/paid")
	}
	return value
}

// webhookSecrets lets the provider itself judge: its error names positions, never a secret.
func (r *reader) webhookSecrets(list string) []secret {
	each := secrets(list)
	if len(each) == 0 {
		return nil
	}
	if _, err := mock.New(mock.Config{BaseURL: "http://bank.invalid", APIKey: "none", WebhookSecrets: reveal(each)}); err != nil {
		r.fault("MOCK_WEBHOOK_SECRET", "%v", err)
	}
	return each
}

// refuseInProduction is what only development may do.
func (r *reader) refuseInProduction(c Config) {
	if c.PaymentProvider == mock.Name {
		r.fault("PAYMENT_PROVIDER", "the mock provider moves no real money; production needs another")
	}
	if len(c.JWTSecrets) == 0 {
		r.fault("JWT_SECRET", "production makes no secret of its own: set one of at least 32 bytes")
	}
	if len(c.DataKeys) == 0 {
		r.fault("DATA_KEY", "production makes no key of its own: set one of at least 32 bytes")
	}
	if c.TLSCert == "" && len(c.TrustedProxies) == 0 {
		r.fault("TLS_CERT", "production needs TLS_CERT and TLS_KEY, or TRUSTED_PROXIES that take TLS off")
	}
	if c.onSQLite() && !r.boolean("ALLOW_SQLITE", r.raw.AllowSQLite) {
		r.fault("DATABASE_URL", "SQLite serves one server only; set ALLOW_SQLITE=true to use it in production")
	}
}
