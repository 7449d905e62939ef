package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	"florin/webapi/middleware"
)

// Config is what the program is started with. The table of settings is in docs/configuration.md.
type Config struct {
	// Production refuses what is only good for trying Florin out. It is set in staging too.
	Production bool
	Profile    string   // the name in PROFILE
	Exceptions []string // of exposures, what is accepted

	HTTPAddr   string   // host:port of the public listener; port 0 takes a free one
	AdminAddr  string   // host:port of the listener for metrics and profiles
	AdminHosts []string // names that the admin listener is reached by, beside addresses and localhost
	TLSCert    string   // file, "" for plain HTTP
	TLSKey     string   // file

	TrustedProxies middleware.Proxies
	CORSOrigins    middleware.Origins

	DataDir     string
	DatabaseURL secret
	EventBus    []eventbus.Broker // sinks of the log

	JWTSecrets []secret // the first signs, all verify
	DataKeys   []secret // the first seals, all open
	// PayloadRetention is how long the bytes are kept that providers sent.
	PayloadRetention time.Duration
	AdminPassword    secret // "" draws one at the first start in development

	PaymentProvider string        // the default provider
	PaymentDeadline time.Duration // an open payment older than this is given up, as the provider allows
	AmountLimit     string        // decimal text, in each currency's own units
	OpenDeposits    int           // that a user may have at once
	OpenAccounts    int           // that a user may have at once

	MockBankURL        string   // "" runs the bank in this process
	MockBankAPIKey     []secret // one
	MockBankWebhookURL string   // "" is this server's own route
	MockWebhookSecrets []secret
	MockAutocomplete   time.Duration // negative is off

	StripeAPIKey         secret // "" is a program without Stripe
	StripeWebhookSecrets []secret
	StripeAPIBase        string // "" is Stripe itself
	StripeSuccessURL     string
	StripeCancelURL      string

	FXSource string
	SMTPURL  secret // "" for no mail
	MailFrom string
	// ConnectionsPerAddress is 0 for the default.
	ConnectionsPerAddress int
	RateLimit             string // "600/m" or "off"
	RegistrationLimit     string // the same for registrations and onboardings of an address
	LaneBatch             int    // operations in one commit at the most, 0 for the default; for comparison in cmd/bench
	WebhookAllowPrivate   bool
	Maintenance           bool          // clients move no money; what providers tell is applied
	VerifyEvery           time.Duration // between two proofs of all books; 0 for the default
}

// The profiles.
const (
	profileDevelopment = "development"
	profileStaging     = "staging"
	profileProduction  = "production"
)

// rawSettings is the environment as text.
type rawSettings struct {
	Profile               string `env:"PROFILE" envDefault:"development"`
	Exceptions            string `env:"PRODUCTION_EXCEPTIONS"`
	HTTPAddr              string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080"`
	AdminAddr             string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:8081"`
	TLSCert               string `env:"TLS_CERT"`
	TLSKey                string `env:"TLS_KEY"`
	TrustedProxies        string `env:"TRUSTED_PROXIES"`
	CORSOrigins           string `env:"CORS_ORIGINS"`
	DataDir               string `env:"DATA_DIR" envDefault:"./data"`
	DatabaseURL           string `env:"DATABASE_URL"`
	EventBusURL           string `env:"EVENT_BUS_URL"`
	AllowSQLite           string `env:"ALLOW_SQLITE" envDefault:"false"`
	JWTSecret             string `env:"JWT_SECRET"`
	DataKey               string `env:"DATA_KEY"`
	PayloadRetention      string `env:"PAYLOAD_RETENTION" envDefault:"2160h"`
	AdminPassword         string `env:"ADMIN_PASSWORD"`
	PaymentProvider       string `env:"PAYMENT_PROVIDER" envDefault:"mock"`
	PaymentDeadline       string `env:"PAYMENT_DEADLINE" envDefault:"24h"`
	AmountLimit           string `env:"AMOUNT_LIMIT" envDefault:"1000000000.00"`
	OpenDeposits          string `env:"OPEN_DEPOSITS_PER_USER" envDefault:"50"`
	OpenAccounts          string `env:"ACCOUNTS_PER_USER" envDefault:"100"`
	MockBankURL           string `env:"MOCK_BANK_URL"`
	MockBankAPIKey        string `env:"MOCK_BANK_API_KEY"`
	MockBankWebhookURL    string `env:"MOCK_BANK_WEBHOOK_URL"`
	MockWebhookSecret     string `env:"MOCK_WEBHOOK_SECRET"`
	MockAutocomplete      string `env:"MOCK_AUTOCOMPLETE" envDefault:"1s"`
	StripeAPIKey          string `env:"STRIPE_API_KEY"`
	StripeWebhookSecret   string `env:"STRIPE_WEBHOOK_SECRET"`
	StripeAPIBase         string `env:"STRIPE_API_BASE"`
	StripeSuccessURL      string `env:"STRIPE_SUCCESS_URL"`
	StripeCancelURL       string `env:"STRIPE_CANCEL_URL"`
	FXSource              string `env:"FX_SOURCE"`
	FXFixedOK             string `env:"FX_FIXED_OK" envDefault:"false"`
	RateLimit             string `env:"RATE_LIMIT" envDefault:"600/m"`
	RegistrationLimit     string `env:"REGISTRATION_LIMIT" envDefault:"10/m"`
	ConnectionsPerAddress string `env:"CONNECTIONS_PER_ADDRESS"`
	AdminHosts            string `env:"ADMIN_HOSTS"`
	WebhookAllowPrivate   string `env:"WEBHOOK_ALLOW_PRIVATE" envDefault:"false"`
	Maintenance           string `env:"MAINTENANCE" envDefault:"false"`
	SMTPURL               string `env:"SMTP_URL"`
	MailFrom              string `env:"MAIL_FROM"`
	LaneBatch             string `env:"FLORIN_LANE_BATCH"`
	VerifyEvery           string `env:"VERIFY_EVERY" envDefault:"24h"`
}

// secretSettings may each be given as NAME_FILE, the path of a file that holds the value.
var secretSettings = []string{"DATABASE_URL", "EVENT_BUS_URL", "JWT_SECRET", "DATA_KEY", "ADMIN_PASSWORD", "MOCK_BANK_API_KEY",
	"MOCK_WEBHOOK_SECRET", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "SMTP_URL"}

// notBuiltIn are settings of parts that this build does not have. To start without such a part although somebody asked
// for it would be a silent fall-back. Whoever adds the part takes its settings off this list.
var notBuiltIn = []string{"FX_URL"}

// fault is what is wrong with one setting. It never shows a secret's value.
type fault struct{ name, text string }

// configError is every fault of the configuration at once.
type configError []fault

func (e configError) Error() string {
	lines := []string{"the configuration is not usable:"}
	for _, f := range e {
		lines = append(lines, "  "+f.name+": "+f.text)
	}
	return strings.Join(lines, "\n")
}

// loadConfig reads and checks all settings. The error is a configError.
func loadConfig(environ map[string]string) (Config, error) {
	config, faults := readConfig(environ)
	if len(faults) > 0 {
		return Config{}, faults
	}
	return config, nil
}

// loadStoreConfig is loadConfig for commands that need the database alone: nothing else may keep an operator from it.
func loadStoreConfig(environ map[string]string) (Config, error) {
	config, faults := readConfig(environ)
	faults = slices.DeleteFunc(faults, func(f fault) bool {
		return f.name != "DATABASE_URL" && f.name != "DATABASE_URL_FILE" && f.name != "DATA_DIR"
	})
	if len(faults) > 0 {
		return Config{}, faults
	}
	return config, nil
}

func readConfig(environ map[string]string) (Config, configError) {
	resolved, faults := resolveFiles(environ)
	var raw rawSettings
	if err := env.ParseWithOptions(&raw, env.Options{Environment: resolved}); err != nil {
		return Config{}, append(faults, fault{"environment", err.Error()})
	}
	r := reader{raw: raw, environ: resolved, faults: faults}
	config := r.read()
	r.faults = append(r.faults, misspelt(environ)...)
	for _, f := range telemetry.CheckSettings(environ) {
		r.faults = append(r.faults, fault{f.Name, f.Text})
	}
	if config.Production {
		r.refuseInProduction(config)
		r.refuseExposures(config)
	}
	return config, r.faults
}

// resolveFiles replaces each NAME_FILE of a secret by NAME with the file's content.
func resolveFiles(environ map[string]string) (map[string]string, configError) {
	resolved := make(map[string]string, len(environ))
	for name, value := range environ {
		// An empty variable is one that is not set: it is how a compose file leaves one out.
		if value != "" {
			resolved[name] = value
		}
	}
	var faults configError
	for _, name := range secretSettings {
		path, given := resolved[name+"_FILE"]
		if !given {
			continue
		}
		if resolved[name] != "" {
			faults = append(faults, fault{name + "_FILE", "set together with " + name + "; only one may be"})
			continue
		}
		text, err := readSecret(path)
		if err != nil {
			faults = append(faults, fault{name + "_FILE", err.Error()})
			continue
		}
		resolved[name] = text
	}
	return resolved, faults
}

// environment is the process's own, as loadConfig takes it.
func environment() map[string]string {
	environ := make(map[string]string)
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environ[name] = value
	}
	return environ
}

// onSQLite says that the database is the embedded one.
func (c Config) onSQLite() bool { return strings.HasPrefix(string(c.DatabaseURL), "sqlite://") }

// withStripe says that payments can go through Stripe.
func (c Config) withStripe() bool { return c.StripeAPIKey != "" }

// withMock says that payments can go through the mock bank: not where real money moves.
func (c Config) withMock() bool { return !c.Production }

// inData is the path of a file of the data folder.
func (c Config) inData(name string) string { return filepath.Join(c.DataDir, name) }
