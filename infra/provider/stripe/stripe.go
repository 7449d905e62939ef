// Package stripe is Stripe as a payment provider: PaymentIntents and Checkout for deposits, Connect transfers and payouts
// for withdrawals.
package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// Name is the provider's name in rows, routes and metrics.
const Name = "stripe"

// The flows of a deposit, as payment_flow names them.
const (
	FlowIntent   = "payment_intent" // the default, also as ""
	FlowCheckout = "checkout"
)

// The next actions of a deposit.
const (
	ActionClientSecret = "client_secret" // confirm the payment with Stripe's own library and this secret
	ActionRedirect     = "redirect"      // send the payer to the URL
)

// Config is what a Client needs. APIKey, WebhookSecrets and PayoutAccounts are required.
type Config struct {
	// APIKey is a secret or restricted key. Its prefix says which mode is ours: sk_live_ and rk_live_, or sk_test_ and rk_test_.
	APIKey string
	// WebhookSecrets are the signing secrets of the endpoint; a webhook signed with any one is authentic.
	WebhookSecrets []string
	// BaseURL is where the API is, http or https, without a path; "" is Stripe itself.
	BaseURL string
	// SuccessURL and CancelURL are where Stripe's pages send people back to. Without them there is no Checkout.
	SuccessURL, CancelURL string
	// PayoutAccounts tells which connected accounts are ours.
	PayoutAccounts account.PayoutAccounts
	// HTTPClient makes the calls; nil is one of the Client's own. It is copied: redirects are never followed,
	// answers are bounded, and without a timeout it gets one of 30 s.
	HTTPClient *http.Client
	// Now is the clock that webhooks are checked by; nil is the system's.
	Now func() time.Time
}

// Client is Stripe as an account.PaymentProvider. Its look-ups by our id list what was created around the time of our row;
// lists do not lag, so ErrProviderNotFound proves absence. Search, which lags, is not used.
type Client struct {
	live          bool
	base          string
	http          http.Client
	success, back string
	accounts      account.PayoutAccounts
	now           func() time.Time
	api           atomic.Pointer[resources]
	secrets       atomic.Pointer[[]string]
}

var (
	_ account.PaymentProvider = (*Client)(nil)
	_ account.PaymentChecker  = (*Client)(nil)
	_ account.Onboarding      = (*Client)(nil)
)

// New returns a client of Stripe. It makes no call.
func New(cfg Config) (*Client, error) {
	c := &Client{base: cfg.BaseURL, success: cfg.SuccessURL, back: cfg.CancelURL, accounts: cfg.PayoutAccounts, now: cfg.Now}
	if c.base == "" {
		c.base = stripe.APIURL
	}
	if u, err := url.Parse(c.base); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("stripe: BaseURL is not the address of an API")
	}
	c.base = strings.TrimRight(c.base, "/")
	if c.accounts == nil {
		return nil, errors.New("stripe: PayoutAccounts is missing")
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.http = newHTTPClient(cfg.HTTPClient)
	live, err := modeOf(cfg.APIKey)
	if err != nil {
		return nil, err
	}
	c.live = live
	if err := c.SetAPIKey(cfg.APIKey); err != nil {
		return nil, err
	}
	if err := c.SetWebhookSecrets(cfg.WebhookSecrets); err != nil {
		return nil, err
	}
	return c, nil
}

// CheckAPIKey says what is wrong with a key, without a call, and whether it moves real money.
func CheckAPIKey(key string) (live bool, err error) { return modeOf(key) }

func modeOf(key string) (live bool, err error) {
	for _, kind := range []string{"sk_", "rk_"} {
		for mode, isLive := range map[string]bool{"live_": true, "test_": false} {
			if rest, found := strings.CutPrefix(key, kind+mode); found && rest != "" && validID(rest) {
				return isLive, nil
			}
		}
	}
	return false, errors.New("stripe: the API key does not begin with sk_live_, rk_live_, sk_test_ or rk_test_")
}

// SetAPIKey replaces the key, for rotation without a restart. The mode stays: a test key does not take over from a live one.
func (c *Client) SetAPIKey(key string) error {
	live, err := modeOf(key)
	if err != nil {
		return err
	}
	if live != c.live {
		return errors.New("stripe: the API key is of the other mode; that needs a restart")
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		HTTPClient:        &c.http,
		URL:               stripe.String(c.base),
		MaxNetworkRetries: stripe.Int64(0), // attempts are the caller's to count
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // it would log whole answers
	})
	c.api.Store(newResources(key, backend))
	return nil
}

// SetWebhookSecrets replaces the secrets that webhooks are checked with, for rotation without a restart. On an
// error the old ones stay.
func (c *Client) SetWebhookSecrets(secrets []string) error {
	if err := CheckWebhookSecrets(secrets); err != nil {
		return err
	}
	kept := make([]string, len(secrets))
	copy(kept, secrets)
	c.secrets.Store(&kept)
	return nil
}

// minSecret is far below what Stripe gives out, and above what somebody types in to get past a check.
const minSecret = 16

// CheckWebhookSecrets refuses no secret at all, and a short one: with an empty secret anybody can sign.
func CheckWebhookSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return errors.New("stripe: no webhook secret")
	}
	for i, s := range secrets {
		if len(strings.TrimSpace(s)) < minSecret {
			return fmt.Errorf("stripe: webhook secret %d is shorter than %d characters", i+1, minSecret)
		}
	}
	return nil
}

// Close gives idle connections up.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Name implements account.PaymentProvider.
func (c *Client) Name() string { return Name }
